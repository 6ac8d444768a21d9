"""Links of wikitext to the text that a reader sees: labels of links, nothing of files, categories and languages."""

import re

from electra_hf.corpora.wikidump.brackets import outermost_pairs

# What a namespace is called in the languages of Wikipedia: the canonical English name works in all of them.
_FILE = """
    file image media datei bild medium fichier média archivo imagen medio immagine ficheiro imagem arquivo imaxe
    bestand afbeelding plik grafika файл изображение зображення картинка выява датотека слика податотека datoteka
    slika soubor obrázek súbor obrázok fájl kép fișier fişier imagine αρχείο εικόνα dosya resim şəkil fayl tiedosto
    kuva pilt fail fil bilde billede mynd vaizdas attēls fitxer imatge fitxategi irudi ficheru imaxen restr skeudenn
    delwedd íomhá dosiero bildo fasciculus imago ファイル 画像 メディア 파일 그림 文件 图像 圖像 图片 圖片 档案 檔案
    影像 媒体 tập_tin hình ไฟล์ ภาพ berkas gambar imej ملف صورة پرونده تصویر קובץ תמונה فائل चित्र চিত্র படிமம் దస్త్రం బొమ్మ
    ಚಿತ್ರ പ്രമാണം ചിത്രം ფაილი სურათი պատկեր сурет tasvir skeda figura talaksan wêne файлы рәсем imágen
"""
_CATEGORY = """
    category kategorie catégorie categoría categoria categorie kategoria kategória kategori kategorija kategorio
    kategooria kategoreja категория категорія катэгорыя категорија kateqoriya luokka flokkur rummad categori catagóir
    κατηγορία カテゴリ 분류 分类 分類 thể_loại หมวดหมู่ تصنيف رده קטגוריה زمرہ श्रेणी বিষয়শ্রেণী பகுப்பு వర్గం ವರ್ಗ വർഗ്ഗം वर्ग
    კატეგორია կատեգորիա санат turkum kategorya төркем kategoriya categurìa kawsa
"""
_HIDDEN = frozenset(name.replace("_", " ") for name in (_FILE + _CATEGORY).split())
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z]+){0,2}|simple|tokipona")
# In languages that the table lacks, a file is known by its suffix, and a category by being alone on its line.
_FILE_NAME = re.compile(r"\.(?:jpe?g|png|gif|svg|tiff?|webp|xcf|og[agv]|webm|mp[34]|wav|flac|midi?|pdf|djvu)\s*", re.I)
_ALONE = re.compile(r"\n(?:\[\[[^\[\]|:\n]++:[^\s\[\]|][^\[\]|\n]*+(?:\|[^\[\]|\n]*+)?\]\][ \t]*+)++(?=\n|$)")

_SIMPLE = re.compile(r"\[\[([^\[\]|:\n]*+)\]\]")
_LABELLED = re.compile(r"\[\[[^\[\]|:\n]*+\|([^\[\]|]*+)\]\]")
_INNERMOST = re.compile(r"\[\[([^\[\]]*+)\]\]")
_BRACKETS = re.compile(r"(\[\[)|\]\]")
_EXTERNAL = re.compile(
    r"\[(?:(?:https?|ftps?|sftp|irc|ircs|news|gopher|svn|git|ssh|telnet):)?//[^\s\[\]]*+[^\S\n]*+"
    r"((?:[^\[\]\n]|\[[^\[\]\n]*+\])*+)\]|\[mailto:[^\s\[\]]*+[^\S\n]*+([^\[\]\n]*+)\]",
    re.IGNORECASE,
)
_BARE_URL = re.compile(r"\b(?:https?|ftp)://[!#-;=?-Z\\^-z~]*[\w/=&#~%*+-]", re.IGNORECASE | re.ASCII)
_NESTED_PASSES = 4


def resolve_simple_links(text: str) -> str:
    """Replace `[[target]]` and `[[target|label]]`, those without a namespace, by what is shown.

    They are by far the most frequent. Doing them first leaves the `|` of templates as the only one within templates.
    """
    return _LABELLED.sub(r"\1", _SIMPLE.sub(r"\1", text))


def resolve_links(text: str) -> str:
    """Replace every other link by what is shown: its label, or nothing if it is a file or is shown elsewhere."""
    if "//" in text or "[mailto:" in text:
        text = _EXTERNAL.sub(_external_label, text)
    if "[[" in text:
        text = _ALONE.sub("", text)
        for _ in range(_NESTED_PASSES):
            text, changes = _INNERMOST.subn(_link_text, text)
            if not changes:
                break
        if "[[" in text:
            text = _resolve_unusual_links(text)
    if "]]" in text:
        text = text.replace("]]", "")
    return _BARE_URL.sub("", text) if "://" in text else text


def _external_label(found: re.Match[str]) -> str:
    return found[1] or found[2] or ""


def _link_text(found: re.Match[str]) -> str:
    return _shown(found[1])


def _shown(link: str) -> str:
    target, bar, label = link.partition("|")
    prefix, colon, page = target.partition(":")
    if not colon:
        return label.rpartition("|")[2] if bar else target
    prefix = prefix.replace("_", " ").strip().lower()
    if not prefix:
        # [[:Category:Name]] is a link to look at, unlike [[Category:Name]].
        parts = page.split(":")
        return label or ":".join(parts[1:] if len(parts) < 3 or parts[1].lower() not in _HIDDEN else parts[2:]) or page
    if prefix in _HIDDEN or _FILE_NAME.fullmatch(page, max(page.rfind("."), 0)):
        return ""
    if label:
        return label.rpartition("|")[2]
    if _LANGUAGE.fullmatch(prefix) and not page.startswith((" ", "//")):
        return ""
    return target


def _resolve_unusual_links(text: str) -> str:
    """Links that hold single brackets, or are nested more deeply than usual, or are never closed."""
    kept: list[str] = []
    done = 0
    for start, end in outermost_pairs(_BRACKETS, text):
        kept.append(_without_openings(text[done:start]))
        kept.append(_shown(text[start + 2 : end - 2].replace("[[", "").replace("]]", "")))
        done = end
    kept.append(_without_openings(text[done:]))
    return "".join(kept)


def _without_openings(text: str) -> str:
    """Remove `[[` that nothing closes; of a file, which has no text of its own, the rest of the line too."""
    if "[[" not in text:
        return text
    first, *others = text.split("[[")
    for index, piece in enumerate(others):
        prefix, colon, _ = piece.partition(":")
        if colon and prefix.strip().lower() in _HIDDEN:
            others[index] = "".join(piece.partition("\n")[1:])
    return first + "".join(others)

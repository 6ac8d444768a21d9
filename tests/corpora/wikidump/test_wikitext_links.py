"""Links of wikitext, in several languages."""

import pytest

from electra_hf.corpora.wikidump import plain_text


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("[[A]], [[b|c]] and [[bus]]es", "A, c and buses"),
        ("[[A (x)|A]] [[#Part|part]] [[A#B]]", "A part A#B"),
        ("[[Alien: Covenant]] and [[Alien: Covenant|a film]]", "Alien: Covenant and a film"),
        ("[[:Category:A]], [[:fr:B|C]], [[:de:Kategorie:D]]", "A, C, D"),
        ("[[wikt:word|word]] [[A|b\nc]]", "word b\nc"),
        ("[[A|{{lang|ja|b}}]] c", "b c"),
        ("A.\n[[fr:B]]\n[[zh-min-nan:C]] [[simple:D]]\n[[be-x-old:E (f)]]", "A."),
        ("A [[fr:B]] c", "A c"),
    ],
)
def test_internal_links(wikitext, text):
    assert plain_text(wikitext) == text


@pytest.mark.parametrize(
    "link",
    [
        "[[File:A.jpg]]",
        "[[Image:A.jpg|thumb|200px|A [[b|c]] of [[d]]]]",
        "[[File:A.jpg|thumb|See [http://b.c d [e]] and [sic] [[f|g]]]]",
        "[[File:A.jpg|thumb|With {{a|[[b]]}}, a [[c]]<ref>d</ref> and [[File:E.png|10px]].]]",
        "[[파일:A.jpg|섬네일|[[가]]]]",
        "[[그림:A.jpg]]",
        "[[분류:가]]",
        "[[ファイル:A.jpg|サムネイル|[[国]]の旗]]",
        "[[画像:A.jpg]]",
        "[[カテゴリ:国|*]]",
        "[[Файл:A.jpg|мини|[[Б]]]]",
        "[[Картинка:A.jpg]]",
        "[[Категория:Б]]",
        "[[Datei:A.jpg|mini|[[B]]]]",
        "[[Kategorie:B|C, D]]",
        "[[Fichier:A.jpg|vignette]]",
        "[[Catégorie:B]]",
        "[[Tiedosto:A.jpg]]",
        "[[Luokka:B]]",
        "[[文件:A.jpg|缩略图|[[数]]]]",
        "[[Thể loại:B]]",
        "[[Thể_loại:B]]",
        "[[תמונה:A.jpg|ממוזער]]",
        "[[ file : A.jpg ]]",
        "[[CATEGORY:A]]",
        "[[Fails:A b.jpg|thumb|In a language without an entry]]",
        "\n[[Klassys:In a language without an entry]]\n",
    ],
)
def test_files_and_categories_show_no_text(link):
    assert plain_text(f"Before.\n{link}\n\nAfter.") == "Before.\nAfter."


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("See [http://a.b/c?d=e the page] and [https://f].", "See the page and."),
        ("[//a.b c] [ftp://d e] [mailto:f@g.h Write]", "c e Write"),
        ("[http://a b [c] d]", "b [c] d"),
        ("At http://a.b/c_(d)?e=f#g, and more.", "At, and more."),
        ("日本http://a.b/cの国", "日本の国"),
        ("[sic] [1] [ ]", "[sic] [1]"),
    ],
)
def test_external_links_keep_their_labels(wikitext, text):
    assert plain_text(wikitext) == text


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("A [[b c.\n\nD [[e]].", "A b c.\nD e."),
        ("A b]] c.", "A b c."),
        ("[[File:A.jpg|thumb|never closed\nB [[c]].", "B c."),
    ],
)
def test_unclosed_links_swallow_nothing_else(wikitext, text):
    assert plain_text(wikitext) == text

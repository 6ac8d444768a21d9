"""Templates of wikitext that hold words of the sentence around them, and what each of them shows.

The table has the frequent ones of the large Wikipedias: words in another language or script, links to other wikis,
quantities, dates, characters and quotations. It holds no template that makes boxes, notes, references, coordinates or
navigation, nor pronunciations, and leaves out what only its wiki can know, such as the age of a person today.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

_NAME_OF_ARGUMENT = re.compile(r"(\w[\w -]{0,29}?) *=")


@dataclass
class Arguments:
    """The arguments of a template, without white space around them."""

    positional: list[str] = field(default_factory=list)
    named: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Arguments":
        arguments = cls()
        for part in text.split("|") if text else ():
            part = part.strip()
            name = _NAME_OF_ARGUMENT.match(part)
            if name is None:
                arguments.positional.append(part)
            else:
                arguments.named[name[1].lower()] = part[name.end() :].lstrip()
        return arguments

    def get(self, number: int) -> str:
        """Positional argument, counted from 1, also one that is written with its number; empty if missing."""
        given = self.named.get(str(number))
        if given is not None:
            return given
        return self.positional[number - 1] if len(self.positional) >= number else ""


Rule = Callable[[Arguments], str]


def _argument(number: int) -> Rule:
    return lambda arguments: arguments.get(number)


def _fixed(text: str) -> Rule:
    return lambda _: text


def _labelled(number: int) -> Rule:
    def link(arguments: Arguments) -> str:
        names = ("lt", "label", "display", "text", "texte", "текст", "есть", "4")
        return next((arguments.named[name] for name in names if arguments.named.get(name)), arguments.get(number))

    return link


def _last(arguments: Arguments) -> str:
    return arguments.positional[-1] if arguments.positional else ""


def _joined(separator: str) -> Rule:
    return lambda arguments: separator.join(part for part in arguments.positional if part)


def _quote(arguments: Arguments) -> str:
    for name in ("text", "quote", "1", "texte", "texto", "zitat", "текст"):
        if arguments.named.get(name):
            return arguments.named[name]
    return arguments.get(1)


def _fraction(arguments: Arguments) -> str:
    match arguments.positional:
        case [whole, numerator, denominator, *_]:
            return f"{whole} {numerator}/{denominator}"
        case [numerator, denominator]:
            return f"{numerator}/{denominator}"
        case [denominator]:
            return f"1/{denominator}"
    return ""


_UNITS = {"c": "°C", "f": "°F", "sqmi": "sq mi", "sqkm": "km2", "cuft": "cu ft", "sqft": "sq ft", "mph": "mph"}
_BETWEEN = {"to", "-", "–", "and", "or", "by", "x", "×", "to(-)", "and(-)", "+/-", "±", "+", "/"}


def _quantity(arguments: Arguments) -> str:
    """{{convert|5|to|10|km|mi}}: the quantity as it was measured, without the conversion."""
    values: list[str] = []
    for part in arguments.positional:
        is_number = part[:1].isdigit() or part[:1] in ("-", "−", "+", ".") and part[1:2].isdigit()
        if not is_number and part not in _BETWEEN:
            return " ".join((*values, _UNITS.get(part.lower(), part)))
        values.append("to" if part.startswith("to") else "by" if part == "x" else part)
    return " ".join(values)


def _measure(arguments: Arguments) -> str:
    """{{unité|10|km}}, {{val|5|u=kg}}: a number and its unit."""
    unit = arguments.named.get("u") or arguments.named.get("ul") or arguments.get(2)
    return f"{arguments.get(1)} {unit}".strip()


def _japanese(arguments: Arguments) -> str:
    """{{nihongo|English|kanji|romaji}}."""
    inside = ", ".join(part for part in (arguments.get(2), arguments.get(3)) if part)
    shown = arguments.get(1)
    return f"{shown} ({inside})" if shown and inside else shown or inside


def _reading(arguments: Arguments) -> str:
    reading = arguments.get(2)
    return f"{arguments.get(1)}（{reading}）" if reading else arguments.get(1)


def _ship(arguments: Arguments) -> str:
    return f"{arguments.get(1)} {arguments.get(2)}".strip()


def _after(sign: str) -> Rule:
    return lambda arguments: sign + arguments.get(1)


def _as_of(arguments: Arguments) -> str:
    date = " ".join(reversed([part for part in arguments.positional[:3] if part]))
    return arguments.named.get("alt") or ("since " if "since" in arguments.named else "As of ") + date


def _life(arguments: Arguments) -> str:
    """{{bd|1879年|3月14日|1955年|4月18日}}."""
    born, died = ("".join(arguments.get(number + part) for part in range(2)) for number in (1, 3))
    return f"{born}－{died}".strip("－")


def _century(arguments: Arguments) -> str:
    """{{s|XIX|e}} in French; elsewhere {{s|text}} keeps words on one line."""
    number = arguments.get(1)
    return f"{number}{arguments.get(2) or 'e'} siècle" if set(number) <= set("IVX") else number


def _chinese(arguments: Arguments) -> str:
    """{{zh|s=汉字|t=漢字|p=Hànzì}}."""
    shown = (arguments.named.get(name) for name in ("c", "s", "t", "p"))
    return ", ".join(dict.fromkeys(part for part in shown if part)) or arguments.get(1)


_ONES = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")
_CENTURIES = (*_ONES, *(f"X{one}" for one in _ONES), "XXI")


def _table(*rows: tuple[str, Rule]) -> dict[str, Rule]:
    return {name.replace("_", " "): rule for names, rule in rows for name in names.split()}


RULES: dict[str, Rule] = _table(
    # Words in another language or script.
    ("lang langi langue llang lang2 cizojazyčně vjazyce2 rtl-lang bdo", _argument(2)),
    ("ens frs its ess las grs rus jas zhs pls en nastaliq unicode polytonic script hebrew rtl ltr cjk", _argument(1)),
    ("jis2004フォント cp932フォント jis90フォント 補助漢字フォント 拡張漢字 追加漢字 jisx0213 pua 한자", _argument(1)),
    ("linktext zh-tw zh-cn sic script/hebrew angle_bracket angbr vr", _argument(1)),
    ("nihongo nihongo2 nihongo3 nihongo_krt", _japanese),
    ("zh", _chinese),
    ("読み仮名 読み仮名_ruby不使用 ふりがな_括弧", _reading),
    ("ruby ルビ ruby-ja ふりがな 루비", _argument(1)),
    ("transl transliteration", _last),
    ("audio", _argument(2)),
    # Links to pages of other wikis.
    ("ill ill2 interlanguage_link illm interlanguage_link_multi le lien", _labelled(1)),
    ("仮リンク 日本語版にない記事リンク 임시링크 임시_링크 link-interwiki tsl", _labelled(1)),
    ("iw нп нп2 нп3 нп4 нп5 нп_5 не_переведено не_переведено_2 не_переведено_3 не_переведено_5", _labelled(1)),
    # Quantities, numbers and dates.
    ("convert cvt konvert 변환", _quantity),
    ("val unité unit nombre unidad m num число", _measure),
    ("formatnum nts number gaps fmtn", _argument(1)),
    ("frac fraction sfrac 分数", _fraction),
    ("sqrt radic", _after("√")),
    ("math mvar var mathit", _argument(1)),
    ("chem chem2 chemical_formula", _joined("")),
    ("eqm", _fixed("⇌")),
    ("as_of", _as_of),
    ("circa c. ca.", lambda arguments: f"c. {arguments.get(1)}".strip()),
    ("date date- дата date_de_naissance date_de_décès", _joined(" ")),
    ("bd", _life),
    ("s s- -s siècle", _century),
    *((f"{number.lower()}e_siècle", _fixed(f"{number}e siècle")) for number in _CENTURIES),
    *((f"{number}e", _fixed(f"{number}e")) for number in range(2, 31)),
    ("1er", _fixed("1er")),
    ("1re", _fixed("1re")),
    ("us$ usd us_dollar", _after("US$")),
    ("gbp £", _after("£")),
    ("eur euro €", _after("€")),
    ("inr indian_rupee ₹", _after("₹")),
    ("jpy ¥", _after("¥")),
    # Form only, or a remark on the words that it encloses.
    (
        "nowrap nobr nobreak nowiki small smaller big larger midsize smallcaps sc em strong strike sup sub",
        _argument(1),
    ),
    ("abbr tooltip abréviation abbrv comment комментарий hover_title visible_anchor vanchor", _argument(1)),
    ("nobold noitalic normal underline u overline bracket lc uc formule keyboard key flag flagcountry", _argument(1)),
    ("要出典範囲 いつ範囲 要検証範囲 誰範囲 refnec référence_nécessaire", _argument(1)),
    ("w wp wl wpl", _argument(1)),
    ("weight", _argument(2)),
    ("color colored_text couleur font_color fontcolor 色", _last),
    ("ship", _ship),
    *((name, _after(f"{name.upper()} ")) for name in ("hms", "uss", "ss", "rms", "hmas", "hmcs", "hmnzs", "sms")),
    ("hlist flatlist", _joined(", ")),
    ("plainlist ubl unbulleted_list ublist", _joined("\n")),
    # Quotations.
    ("quote quote2 blockquote quotation cquote citation_bloc citazione cita zitat цитата 인용문", _quote),
    # Characters.
    ("! pipe", _fixed("&#124;")),
    ("=", _fixed("&#61;")),
    ("' apostrophe", _fixed("&#39;")),
    ("'s", _fixed("&#39;s")),
    ('-"', _fixed('"')),
    ("'_\"", _fixed('&#39;"')),
    ("nbsp space spaces ws thinsp", _fixed(" ")),
    ("mdash — em_dash mdashb", _fixed("—")),
    ("ndash – en_dash", _fixed("–")),
    ("dash snd spaced_ndash spnd spaced_en_dash", _fixed(" – ")),
    ("· • dot bullet middot •w ·w", _fixed(" · ")),
    ("er", _fixed("er")),
    ("e", lambda arguments: f"×10^{arguments.get(1)}" if arguments.positional else "e"),
    ("ème", _fixed("e")),
    ("re", _fixed("re")),
    ("º", _fixed("º")),
    ("ª", _fixed("ª")),
    ("crlf break br", _fixed("\n")),
)

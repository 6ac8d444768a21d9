"""Templates of wikitext: what they show, and what is left of broken ones."""

import pytest

from electra_hf.corpora.wikidump import plain_text


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("{{Infobox\n| a = {{b|{{c}}}}\n| d = [[e|f]]\n}}\nText.", "Text."),
        ("A{{citation needed|date=May 2020}} b.{{sfn|C|2000}}", "A b."),
        ("{{a|{b}|c={d}}}E", "E"),
        ("{{a|{{b|{{c|{{d|{{e|{{f|{{g|{{h|i}}}}}}}}}}}}}}}}J", "J"),
        ("{{#if: a | b | c }}{{DEFAULTSORT:A}}D", "D"),
        ("A {{{1|b}}} {{{2}}}c", "A b c"),
        ("{{unknown|text}}A", "A"),
    ],
)
def test_most_show_nothing(wikitext, text):
    assert plain_text(wikitext) == text


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("{{lang|ja|日本}}", "日本"),
        ("{{Lang|fr|''mot''}}", "mot"),
        ("{{lang-de|Wort}} ({{lang-ko|말|hanja=no}})", "Wort (말)"),
        ("{{llang|ko|한국}}", "한국"),
        ("{{lang|ja|{{nowrap|日 本}}}}", "日 本"),
        ("{{nihongo|Tokyo|東京|Tōkyō}}", "Tokyo (東京, Tōkyō)"),
        ("{{nihongo|Tokyo}}", "Tokyo"),
        ("{{読み仮名|東京|とうきょう}}", "東京（とうきょう）"),
        ("{{仮リンク|甲|en|A}} {{仮リンク|甲|en|A|label=乙}}", "甲 乙"),
        ("{{ill|A|de|B|lt=C}}", "C"),
        ("{{Не переведено 5|А||en|B}}", "А"),
        ("{{zh|s=汉字|t=漢字|p=Hànzì}}", "汉字, 漢字, Hànzì"),
        ("{{convert|10|km}}, {{convert|5|to|10|km|mi}}, {{cvt|20|C|F}}, {{convert|3|x|4|m}}", None),
        ("{{val|5|u=kg}}, {{unité|10|km}}, {{formatnum:1234}}, {{frac|1|2}}, {{frac|3|1|2}}", None),
        ("{{chem|H|2|O}} {{math|''x''}}", "H2O x"),
        ("{{as of|2010}}, {{circa|1900}}", "As of 2010, c. 1900"),
        ("Au {{XXe siècle}}, {{s|XIX|e}}, {{1re}} et {{2e}}", "Au XXe siècle, XIXe siècle, 1re et 2e"),
        ("{{HMS|Victory|1765|6}} {{ship|HMS|Hood}}", "HMS Victory HMS Hood"),
        ("A{{mdash}}b{{snd}}c{{'s}} d{{=}}e {{!}} f{{nbsp}}g", "A—b – c's d=e | f g"),
        ("{{quote|A.|B}}\n{{cita|text=C.}}", "A.\nC."),
        ("{{nowrap|1=a=b}}", "a=b"),
        ("{{abbr|A|B}} {{color|red|C}} {{hlist|d|e}}", "A C d, e"),
        ("{{bd|1879年|3月14日|1955年|4月18日}}", "1879年3月14日－1955年4月18日"),
        ("{{lang}}{{convert}}{{frac}}{{nihongo}}{{bd}}{{last}}{{color}}A", "A"),
    ],
)
def test_some_hold_words_of_the_sentence(wikitext, text):
    measures = {
        "{{convert": "10 km, 5 to 10 km, 20 °C, 3 by 4 m",
        "{{val|5|u": "5 kg, 10 km, 1234, 1/2, 3 1/2",
    }
    assert plain_text(wikitext) == (text or measures[wikitext[:9]])


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("-{zh-hans:计算机;zh-hant:電腦}-", "计算机"),
        ("-{汉字}-和-{T|zh:题;}--{H|zh-cn:a;zh-tw:b}-后", "汉字和后"),
    ],
)
def test_language_variants(wikitext, text):
    assert plain_text(wikitext) == text


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("{{Infobox\n| a = b\n| c = d\nText.\n\nMore.", "Text.\nMore."),
        ("A {{lang|b c.\n\nD.", "A b c.\nD."),
        ("A {{b|c} d.\n\nE {{f}}.", "A d.\nE."),
        ("A }} b.", "A b."),
        ("{{a|b\n\n== C ==\nD }} e.", "C\nD e."),
    ],
)
def test_broken_ones_swallow_nothing_else(wikitext, text):
    assert plain_text(wikitext) == text

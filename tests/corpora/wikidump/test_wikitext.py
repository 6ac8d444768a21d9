"""Wikitext to plain text, rule by rule."""

import pytest

from electra_hf.corpora.wikidump import plain_text


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("", ""),
        ("One.\n\nTwo\nThree.", "One.\nTwo\nThree."),
        ("One.\r\n\r\nTwo.", "One.\nTwo."),
        ("'''Bold''', ''italic'' and '''''both'''''.", "Bold, italic and both."),
        ("L'''Iliade'' et '''Troie'''", "L'Iliade et Troie"),
        ("Rock 'n' roll, the '90s", "Rock 'n' roll, the '90s"),
        ("* one\n** two\n# three\n:: four\n; term : meaning", "one\ntwo\nthree\nfour\nterm : meaning"),
        ("*\n* \n----\nText\n----more", "Text\nmore"),
        ("__NOTOC__Text__KEIN_INHALTSVERZEICHNIS__ __目次__", "Text"),
        ("def __init__(self)", "def __init__(self)"),
        ("a&nbsp;b &amp;amp; c&amp;nbsp;d &lt;e&gt; &#9731; &#x2603; AT&T &copy 1", "a b & c d <e> ☃ ☃ AT&T &copy 1"),
        ("so\u00adft\u200b\ufeff  wide \t space\u00a0s", "soft wide space s"),
    ],
)
def test_text_and_marks(wikitext, text):
    assert plain_text(wikitext) == text


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("A.\n== B ==\nC.\n===D===\nE.", "A.\nB\nC.\nD\nE."),
        ("A.\n== B ==\n=== C ===\nD.\n== E ==", "A.\nB\nC\nD."),
        ("A.\n== B ==\n== C ==\nD.", "A.\nC\nD."),
        ("A.\n== See also ==\n{{Portal}}\n[[Category:B]]\n[[fr:A]]", "A."),
        ("A.\n== ''B'' [[c|d]] ==\nE.", "A.\nB d\nE."),
        ("1 = 1\n= 2", "1 = 1\n= 2"),
    ],
)
def test_headings_need_text_below(wikitext, text):
    assert plain_text(wikitext) == text


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("A<!-- b -->c<!-- [[d\n\ne -->f", "Acf"),
        ("A <!-- never closed\n\nB.", "A never closed\nB."),
        ("A.<ref>{{cite|b}}</ref> C<ref name=d/>, e<ref name='f' />.<ref name=\"g\">h [[i]]</ref>", "A. C, e."),
        ("A.<ref>b <ref>c</ref></ref> D.", "A. D."),
        ("A.<ref>b\n\nC.<ref>d</ref>", "A.b\nC."),
        ("A.\n<references>\n<ref name=b>c</ref>\n</references>", "A."),
        ("A.<REF>b</REF>", "A."),
        ("A.\n<gallery mode=packed>\nFile:B.jpg|C [[d]]\n</gallery>\nE.", "A.\nE."),
        ("Where <math>x</math> and <math>\\frac{a}{b}</math> hold.", "Where x and hold."),
        ("<chem>H_2O</chem>, x<sub>1</sub><sup>2</sup>", "H2O, x12"),
        ("<nowiki>[[A]] ''b'' {{c}} <d></nowiki>", "[[A]] ''b'' {{c}} <d>"),
        ("A <code>print</code> <syntaxhighlight lang=c>\nint x;\n</syntaxhighlight>B", "A print B"),
        ("A<pre>b</pre><timeline>c</timeline><score>d</score><hiero>e</hiero>F", "AF"),
        ("One<br>two<br />three</br>four", "One\ntwo\nthree\nfour"),
        ('<div class="a">One</div><span style="b">two</span> <small>three</small>', "One\ntwo three"),
        ("#include <stdio.h> if a<b", "include <stdio.h> if a<b"),
        ("<noinclude>A</noinclude><includeonly>b</includeonly><onlyinclude>c</onlyinclude>", "Ac"),
        ("<poem>\nOne\nTwo\n</poem>", "One\nTwo"),
        ("<ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp></ruby>字", "漢字"),
        ("A<table><tr><td>b</td></tr></table>C", "AC"),
        ("<'''span''' style=a>B</span>", "B"),
    ],
)
def test_elements(wikitext, text):
    assert plain_text(wikitext) == text


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ('A.\n{| class="b"\n! c\n|-\n| d || [[e]]\n|}\nF.', "A.\nF."),
        ("A.\n{|\n| b\n{|\n| c\n|}\n| d\n|}\nE.", "A.\nE."),
        (":{|\n| a\n|}\nB.", "B."),
        ("A.\n{|\n| b {{c|}}\n|}\nD.", "A.\nD."),
        ("A.\n{| class=b\n|-\n| c\nD.\n\n== E ==\nF.", "A.\nD.\nE\nF."),
        ("A.\n|}\nB.", "A.\nB."),
    ],
)
def test_tables(wikitext, text):
    assert plain_text(wikitext) == text


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("Ann ({{IPA|a}}) is.", "Ann is."),
        ("Ann ({{IPA|a}}, {{IPA|b}}; 1900–1950) is.", "Ann (1900–1950) is."),
        ("Ann (1900, {{IPA|b}}) is.", "Ann (1900) is."),
        ("安（{{IPA|a}}、{{IPA|b}}）は、{{IPA|c}}、", "安は、"),
        ("安（{{IPA|a}}、あん）は", "安（あん）は"),
        ("One, {{a}}, {{b}}, two {{c}}, three {{d}}.", "One, two, three."),
        ("f(x) = () or (a)", "f(x) = or (a)"),
    ],
)
def test_brackets_and_commas_that_templates_leave_are_mended(wikitext, text):
    assert plain_text(wikitext) == text


def test_page_name_is_the_title():
    assert plain_text("'''{{PAGENAME}}''' is.", "C++ {{x}}") == "C++ is."


@pytest.mark.parametrize(
    "markup",
    [
        *("{{", "[[", "}}", "]]", "{{{", "<ref>", "<ref ", "<!--", "<!-- -->", "<math>", "<math><pre>", "<b "),
        *("\n{|", "|}\n", "'''a''b\n", "\n=", "[http://a ", "[//a [b] ", "&amp;", "__A", "-{", "(,", "（", "{"),
        *("{{lang|ja|", "{{{a", "[[a|", "[[File:a|[[b]]", "\n[[a:b]]", "http://", "{{quote|{", "#R ", "</ref>"),
        *("{{[[", "{{lang|a|     "),
    ],
)
def test_time_is_linear_and_text_after_broken_markup_stays(markup):
    # Were any rule quadratic, this would take minutes.
    text = plain_text(markup * (60_000 // len(markup)) + "\n\nThe end.")
    assert text.rpartition("\n")[2] == "The end."


@pytest.mark.parametrize(
    ("opening", "closing"), [("{{", "}}"), ("[[", "]]"), ("{{a|{", "}}}"), ("[[File:a|", "]]"), ("\n{|", "\n|}")]
)
def test_deep_nesting_goes_as_a_whole(opening, closing):
    assert plain_text("A." + opening * 10_000 + "b" + closing * 10_000 + "\nC.") in ("A.\nC.", "A.b\nC.")

"""The markup of Namuwiki."""

import pytest

from electra_hf.corpora.namuwiki import strip_markup


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("= 제목 =\n== 개요 ==\n본문", "제목\n개요\n본문"),
        ("[[분류:게임]]\n[[파일:a.jpg|width=50%]]\n[[세계수|미궁]]과 [[위저드리]]", "미궁과 위저드리"),
        ("[[서울#s-2.1]] [[http://a.kr|글]]", "서울 글"),
        ("'''굵게''' ''기울임'' __밑줄__ H,,2,,O 2^^3^^", "굵게 기울임 밑줄 H2O 23"),
        ("좋다~~나쁘다~~. 그--렇지--래", "좋다. 그래"),
        ("집에 -- 그래 -- 갔다 ----- 끝", "집에 -- 그래 -- 갔다 ----- 끝"),
        ("구조[* 각주 [[링크]]가 있는[* 안의] 글.]로", "구조로"),
        ("{{{+1 크게}}} {{{#red 빨강}}} {{{#fff,#000 색}}} {{{[그대로]}}}", "크게 빨강 색 [그대로]"),
        ('{{{#!wiki style="a"\n{{{#!folding 접기\n안 {{{-1 작게}}}\n}}}}}}', "안 작게"),
        ("{{{#!html <b>x</b>}}}밖", "밖"),
        ("[목차]\n[include(틀:a, b=1)]\n[youtube(x)]앞[br]뒤", "앞\n뒤"),
        ("[ruby(漢字, ruby=かんじ)]", "漢字"),
        (" * 하나\n  1. 둘\n  1.#3 셋\n> 인용", "하나\n둘\n셋\n인용"),
        ("||<tablealign=center> 표 ||\n## 주석\n----\n글", "글"),
        ("!!아앗!! 3시 ~ 4시", "!!아앗!! 3시 ~ 4시"),
    ],
)
def test_markup(page: str, text: str) -> None:
    assert list(strip_markup(page)) == [text]


@pytest.mark.parametrize("page", ["#redirect 느낌표\n", "#넘겨주기 느낌표", "[[분류:빈 문서]]"])
def test_pages_without_text(page: str) -> None:
    assert list(strip_markup(page)) == []

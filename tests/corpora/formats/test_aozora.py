"""Books of Aozora Bunko."""

from collections.abc import Callable
from pathlib import Path

import pytest

from electra_hf.corpora import LocalFiles
from electra_hf.corpora.formats.aozora import resolve_notation
from electra_hf.errors import CorpusError

BOOK = """\
蜘蛛の糸
芥川龍之介

-------------------------------------------------------
【テキスト中に現れる記号について】

《》：ルビ
（例）蓮池《はすいけ》
-------------------------------------------------------

［＃８字下げ］一［＃「一」は中見出し］

　ある日の事でございます。御釈迦様《おしゃかさま》は、｜丁度《ちょうど》独りで。
　※［＃「特のへん＋廴＋聿」、第3水準1-87-71］陀多《かんだた》と云う男が。
［＃地から１字上げ］（大正七年）



底本：「芥川龍之介全集2」
青空文庫作成ファイル：
"""
TEXT = "蜘蛛の糸\n芥川龍之介\n一\nある日の事でございます。御釈迦様は、丁度独りで。\n犍陀多と云う男が。\n（大正七年）"


def test_a_book(write: Callable[[str, str | bytes], Path]) -> None:
    path = write("92_ruby_164.txt", BOOK.replace("\n", "\r\n").encode("cp932"))
    assert list(LocalFiles([str(path)], encoding="cp932").documents()) == [TEXT]
    with pytest.raises(CorpusError, match="--encoding shift_jis"):
        list(LocalFiles([str(path)]).documents())


def test_a_short_book_without_explanation_is_known_by_its_end(write: Callable[[str, str | bytes], Path]) -> None:
    path = write("a.txt", "題\n著者\n\n本文。\n\n底本：「全集」\n青空文庫作成ファイル：\n")
    assert list(LocalFiles([str(path)]).documents()) == ["題\n著者\n本文。"]


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("※［＃「てへん＋丑」、第4水準2-12-93］る", "扭る"),
        ("※［＃小書き片仮名ヒ、1-6-84］", "ㇶ"),
        ("※［＃始め二重山括弧、1-1-52］あ※［＃終わり二重山括弧、1-1-53］", "《あ》"),
        ("※［＃「口＋世」、U+546D、123-4］", "呭"),
        ("※［＃「口＋（皐－白）」、125-7］", "〓"),
        ("※［＃「口」、第5水準1-99-99］", "〓"),
        ("いろ／＼、しみ／″＼", "いろ〳〵、しみ〴〵"),
        ("図［＃石の図（fig［＃1］.png）入る］あり", "図あり"),
        ("［＃ここから２字下げ］\n文\n［＃ここで字下げ終わり］", "文"),
    ],
)
def test_notation(written: str, printed: str) -> None:
    assert list(resolve_notation(written)) == [printed]


def test_only_notes() -> None:
    assert list(resolve_notation("［＃改ページ］\n　")) == []

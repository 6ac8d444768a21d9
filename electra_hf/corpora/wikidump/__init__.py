"""Dumps of MediaWiki, such as those of Wikipedia: XML to pages, pages to articles, wikitext to plain text."""

from electra_hf.corpora.wikidump.articles import Article, PageConverter, parse_page, read_articles
from electra_hf.corpora.wikidump.pages import ArticlePages, PageCounts, Site, dump_pages, is_wiki_dump
from electra_hf.corpora.wikidump.wikitext import plain_text

__all__ = [
    "Article",
    "ArticlePages",
    "PageConverter",
    "PageCounts",
    "Site",
    "dump_pages",
    "is_wiki_dump",
    "parse_page",
    "plain_text",
    "read_articles",
]

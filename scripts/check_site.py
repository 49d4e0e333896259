"""Checks that each link within a site leads to a file, and to an element of it: `check_site.py FOLDER`."""

import html.parser
import pathlib
import sys
import urllib.parse


class Page(html.parser.HTMLParser):
    """The links of a page, and the elements that a link can lead to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src"):
                self.links.append(value)
            elif name == "id":
                self.anchors.add(value)


def main(folder):
    site = pathlib.Path(folder).resolve()
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    broken = [
        f"{path.relative_to(site)}: `{link}` leads nowhere"
        for path, page in pages.items()
        for link in page.links
        if not leads_somewhere(site, pages, path, urllib.parse.urlsplit(link))
    ]
    if not pages or broken:
        sys.exit("\n".join(broken) or f"error: {folder} has no pages")
    print(f"{folder}: {len(pages)} pages, {sum(len(page.links) for page in pages.values())} links, none is broken")


def leads_somewhere(site, pages, path, link):
    if link.scheme or link.netloc:
        return True
    target = (path.parent / urllib.parse.unquote(link.path)).resolve() if link.path else path
    if not target.is_relative_to(site) or not target.is_file():
        return False
    return not link.fragment or (target in pages and urllib.parse.unquote(link.fragment) in pages[target].anchors)


if __name__ == "__main__":
    main(*sys.argv[1:])

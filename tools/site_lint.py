"What would disappoint a reader of the built site: dead links, silent pictures, things fetched from elsewhere"
import posixpath
import re
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

from smalldocs.check import scan

FETCHES = {'script': 'src', 'link': 'href', 'img': 'src', 'iframe': 'src', 'source': 'src', 'video': 'src'}
EMBEDDED = re.compile(r'<(script|style)\b.*?</\1>|\bstyle="[^"]*"', re.S)
IN_TEXT = re.compile(r'''(?:@import|url\(|\bfrom|\bimport|\bfetch)[\s('"]*https?://[^'")\s]+''')
NAMES = {'alt', 'aria-label', 'aria-labelledby', 'aria-hidden'}

class Page(HTMLParser):
    "Ids, links and pictures of one page, and what it fetches from elsewhere"
    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.silent = set(), [], []
        self.elsewhere = [f[0] for m in EMBEDDED.finditer(text) for f in IN_TEXT.finditer(m[0])]
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        "Sort what the tag says"
        said = {k: v for k, v in attrs if v}
        self.ids |= {said[k] for k in ('id', 'name') if k in said}
        if tag == 'a' and 'href' in said: self.links.append(said['href'])
        if url := said.get(FETCHES.get(tag)):
            (self.elsewhere if re.match('(https?:)?//', url) else self.links).append(url)
        if tag in ('img', 'svg') and not NAMES & set(said):
            self.silent.append(f'{tag} {said.get("src", "")[:40]}'.strip())

def dead_links(name, page, pages, files):
    "Links of a page that lead nowhere on the site"
    for link in page.links:
        url = urlsplit(link)
        if url.scheme or url.netloc: continue
        path = unquote(url.path) + 'index.html'*url.path.endswith('/')
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
        if target not in files: yield f'dead link {link}'
        elif url.fragment and target in pages and unquote(url.fragment) not in pages[target].ids:
            yield f'no such place: {link}'

def complaints(site):
    "One line for each thing to mend, for a site that smalldocs has built"
    files = {p.relative_to(site.out).as_posix(): p for p in site.out.rglob('*') if p.is_file()}
    text = {name: p.read_text(encoding='utf-8') for name, p in files.items() if p.suffix in ('.html', '.css')}
    pages = {name: Page(t) for name, t in text.items() if name.endswith('.html')}
    yield from site.warnings
    for p in site.pages.values():                        # raw LaTeX is for math-core to judge
        yield from (f'{p.src}: {what}' for _, what in scan(p.body) if 'raw LaTeX' not in what)
    for name, page in pages.items():
        yield from (f'{name}: no alt text: {what}' for what in page.silent)
        yield from (f'{name}: fetches {what}' for what in page.elsewhere)
        yield from (f'{name}: {what}' for what in dead_links(name, page, pages, files))
    for name in text.keys() - pages.keys():
        yield from (f'{name}: fetches {m[0]}' for m in IN_TEXT.finditer(text[name]))

"An exported name on its page: what it is for, a table of its parameters, its source folded away"
import ast
import io
import re
import tokenize
from functools import cache
from pathlib import Path

from nbdev.doclinks import NbdevLookup

ROOT = Path(__file__).parents[1]
SHOWN = re.compile(r'\[source\]\(\S*?(\w+/\w+\.py)#L(\d+)\)')       # in what nbdev's show_doc wrote
MARKUP = re.compile(r'(`[^`]*`)|([*_<\[$@])')
BAR = r'\|'
lookup = cache(NbdevLookup)

@cache
def module(path):
    "Lines of a file, its comments by line, its functions and classes by the line they start on"
    text = (ROOT/path).read_text(encoding='utf-8')
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = {t.start[0]: t.string.lstrip('# ') for t in tokens if t.type == tokenize.COMMENT}
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    return text.splitlines(), comments, {first(n): n for n in nodes} | {n.lineno: n for n in nodes}

def first(node): return min([node.lineno, *(d.lineno for d in node.decorator_list)])

def prose(text):
    "A comment or docstring as markdown: names in backticks become links, everything else is literal"
    literal = MARKUP.sub(lambda m: m[1] or '\\' + m[2], text)
    return ' '.join((lookup().linkify(literal) or '').split()).replace('|', BAR)

def written(name, annotation, default):
    "A parameter as it stands in the signature"
    return ''.join([name, f': {ast.unparse(annotation)}' if annotation else '',
                    f'={ast.unparse(default)}' if default else ''])

def parameters(node, comments):
    "(line, text) for each parameter of a function or class; without an __init__, for each commented field"
    if isinstance(node, ast.ClassDef):
        start = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == '__init__']
        if start: return parameters(start[0], comments)
        fields = [n for n in node.body if isinstance(n, (ast.AnnAssign, ast.Assign))]
        return [(n.end_lineno, ast.unparse(n)) for n in fields if n.end_lineno in comments]
    a = node.args
    plain = [*a.posonlyargs, *a.args]
    pairs = [*zip(plain, [None]*(len(plain) - len(a.defaults)) + a.defaults), (a.vararg, None),
             *zip(a.kwonlyargs, a.kw_defaults), (a.kwarg, None)]
    stars = {a.vararg: '*', a.kwarg: '**'}
    return [((default or arg).end_lineno, stars.get(arg, '') + written(arg.arg, arg.annotation, default))
            for arg, default in pairs if arg and arg.arg not in ('self', 'cls')]

def table(node, comments):
    "Parameters, those of one line together, with the comment beside them; what comes back"
    rows = {}
    for line, text in parameters(node, comments): rows.setdefault(line, []).append(text)
    cells = [(f'`{", ".join(texts)}`', comments.get(line, '')) for line, texts in rows.items()]
    if isinstance(node, ast.FunctionDef):
        after = range(max(rows, default=node.lineno - 1) + 1, node.body[0].lineno)
        cells += [('*returns*', comments[i]) for i in after if i in comments][:1]
    if not cells: return ''
    return '\n'.join(['| parameter | meaning |', '|---|---|',
                      *(f'| {name.replace("|", BAR)} | {prose(meaning)} |' for name, meaning in cells)])

def methods(node, comments):
    "The methods of a class, each a place that links can point to"
    if not isinstance(node, ast.ClassDef): return
    for n in node.body:
        if not isinstance(n, ast.FunctionDef) or re.match('_(?!_call__)', n.name): continue
        name = f'{node.name}.{n.name}'
        if doc := ast.get_docstring(n):
            yield from (f'#### `{name}` {{#{name.lower()}}}', prose(doc), table(n, comments))

def entry(shown):
    "The markdown for a name in a frame of its own, from the markdown that nbdev's show_doc wrote for it"
    path, line = SHOWN.search(shown).groups()
    lines, comments, nodes = module(path)
    node = nodes[int(line)]
    source = '\n'.join(lines[first(node) - 1:node.end_lineno])
    heading = re.search(r'^#+ .*', shown, re.M)[0]
    about = [prose(ast.get_docstring(node) or ''), table(node, comments), *methods(node, comments)]
    return '\n\n'.join(filter(None, [
        '::: {.api}', heading, *about,
        f'```{{.python .cell-code code-fold="true" code-summary="Source"}}\n{source}\n```', ':::']))

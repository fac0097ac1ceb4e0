# ruff: noqa: E501
"""Hostile text: what log lines, service names and span names of an attacker may hold."""

from __future__ import annotations

__all__ = ["PAYLOADS"]

HANDLERS = (
    "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "<svg/onload=alert(1)//", "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>", "<input autofocus onfocus=alert(1)>", "<video><source onerror=alert(1)>",
    "<marquee onstart=alert(1)>", '"><img src=x onerror=alert(1)>', "'><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)', "' onmouseover='alert(1)", "x onmouseover=alert(1) y", '" autofocus onfocus=alert(1) x="',
    "<a onclick=alert(1)>x</a>", "<div onpointerenter=alert(1)>x", "<img/src/onerror=alert(1)>", "<IMG SRC=x OnErRoR=alert(1)>",
)  # fmt: skip
SCRIPTS = (
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<script src=//evil.example/x.js></script>", "<ScRiPt>alert(1)</sCrIpT>", "<script\x20type='text/javascript'>alert(1);</script>",
    "<svg><script>alert(1)</script></svg>", "<math><mi><script>alert(1)</script>", "<!--><script>alert(1)</script>-->",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>", "<![CDATA[<script>alert(1)</script>]]>",
    "</title><script>alert(1)</script>", "</textarea><script>alert(1)</script>", "</svg><script>alert(1)</script>",
)  # fmt: skip
URLS = (
    "javascript:alert(1)", "<a href=javascript:alert(1)>x</a>", "<a href='jav&#x09;ascript:alert(1)'>x</a>",
    "<iframe src=javascript:alert(1)>", "<form action=javascript:alert(1)><button>x</button></form>", "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<object data=javascript:alert(1)>", "<embed src=//evil.example/x.swf>", "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>", "<link rel=stylesheet href=//evil.example/x.css>",
    "<svg><a xlink:href=javascript:alert(1)><text>x</text></a></svg>", "<svg><use href=data:image/svg+xml,<svg/onload=alert(1)>>",
    "<svg><animate onbegin=alert(1) attributeName=x>", "<svg><foreignObject><img src=x onerror=alert(1)>",
    "<img src=//evil.example/pixel.png>", "<img srcset='//evil.example/a 1x'>",
)  # fmt: skip
STYLES = (
    "</style><script>alert(1)</script>", "<style>@import '//evil.example/x.css';</style>", "<div style='background:url(//evil.example/x)'>",
    "</style><img src=x onerror=alert(1)>", "x;background:url(javascript:alert(1))", "expression(alert(1))", "}*{background:url(//evil.example)}",
)  # fmt: skip
TEMPLATES = (
    "{{7*7}}", "${alert(1)}", "<%= alert(1) %>", "{{constructor.constructor('alert(1)')()}}", "#{7*7}", "{% raw %}", "@{value{safe}}",
    "$\\href{javascript:alert(1)}{x}$", "\\(\\unicode{x3c}script\\)", "$$\\begin{array}x\\end{array}$$", "[x](javascript:alert(1))",
    "`<img src=x onerror=alert(1)>`", "<math><mtext></math><img src=x onerror=alert(1)>",
)  # fmt: skip
CHARACTERS = (
    "\x1b[31mred\x1b[0m", "\x1b]8;;http://evil.example\x07link\x1b]8;;\x07", "\x1b]0;title\x07", "\u202egnp.exe\u202c", "a\u200bb\u2066c",
    "nul\x00byte", "line\nbreak\r\nand\ttab", "\ud800 lone surrogate", "\uff1cscript\uff1ealert(1)\uff1c/script\uff1e", "Z\u0351\u036b\u0343\u036a\u0302a\u0321\u034algo",
    "=cmd|'/C calc'!A0", "&lt;script&gt;alert(1)&lt;/script&gt;", "&#x3c;img src=x onerror=alert(1)&#x3e;", "A" * 5000, "\U000e0041\U000e0042 tags",
)  # fmt: skip

PAYLOADS = HANDLERS + SCRIPTS + URLS + STYLES + TEMPLATES + CHARACTERS
"""All of them."""

"""Prepared data to text and static markup.

Enters: the frozen data of one panel. Leaves: plain text, or a fragment of inline SVG and tables that needs no script
and no network. The one idea: everything is made by `markup.el`, so nothing can be unescaped. `frame.py` holds what all
fragments share; `page.js` is an optional script a page may add for hover and zoom.
"""

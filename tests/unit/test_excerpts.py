"""How the docs' excerpts are found and compared."""

from __future__ import annotations

from pathlib import Path

from excerpts import Excerpt, excerpts, masked

PAGE = """Words.

```sh
edgesmith report
```

<!-- output of: edgesmith report -->
```text
digits 1.0.0 on desk
```

```
loose
```

```python
print(1)
```
"""


def test_excerpts_are_found_with_their_commands(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert excerpts(page) == [
        Excerpt(page="page.md", command="edgesmith report", text="digits 1.0.0 on desk\n"),
        Excerpt(page="page.md", command="", text="loose\n"),
    ]


def test_figures_are_masked_and_words_are_not() -> None:
    one = "latency p50   135 µs [135, 136]\nbundle 0070f4a04bcbd1d2\n\nconditions\n  none"
    other = "latency p50   1.5 ms [1.4,\n  1.6]\nbundle aaaaaaaabbbbbbb1"
    assert masked(one) == masked(other) == ["latency p50 # unit [#, #] bundle #"]
    assert masked("/a b/bundle\n  bundle 0070f4a04bcb") == masked("c/bundle\n bundle 0070f4a04bcc")
    assert masked("top-1 loss") != masked("top-5 loss")
    assert masked("loss -0.10") == masked("loss 0.00")
    assert masked("ship int8") != masked("ship fp32")

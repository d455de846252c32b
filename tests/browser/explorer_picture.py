"""Makes docs/pictures/explorer.png of the demo: PYTHONPATH=tests python tests/browser/explorer_picture.py."""

from pathlib import Path

from chromium import chromium
from explorer_page import Explorer

from installations import running_demo

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "explorer.png"

if __name__ == "__main__":
    with running_demo() as demo, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 880}, reduced_motion="reduce")
        page.goto(f"{demo['endpoint']}/explorer")
        explorer = Explorer(page)
        explorer.sign_in(demo["keys"]["reader"])
        explorer.fill(Uid=demo["uids"]["Unknown"][0])
        explorer.call().wait_for()
        page.evaluate("document.activeElement.blur(); scrollTo({top: 0, behavior: 'instant'})")
        page.screenshot(path=PICTURE)

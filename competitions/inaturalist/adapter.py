"""iNaturalist: a sample in the layout of its COCO files and of its folders by supercategory and category."""

from typing import Any

from kit.adapters.image_json import ImageJson

SUPERCATEGORIES = ("Plantae", "Insecta")  # two each of the four made categories


class Inaturalist(ImageJson):
    def sample_entry(self, drawn: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        category = drawn.labels[0]
        folder = "test2018" if drawn.part == "test" else f"train_val2018/{SUPERCATEGORIES[category % 2]}/{category}"
        image = {"id": drawn.overall, "width": 40, "height": 40, "file_name": f"{folder}/{drawn.word}.jpg", "license": 1, "rights_holder": ""}
        return image, [{"id": drawn.overall, "image_id": drawn.overall, "category_id": category}]

    def sample_heading(self, part: str) -> dict[str, Any]:
        info = {"info": {"description": "made pictures in the layout of iNaturalist 2018", "year": 2018}, "licenses": [{"id": 1, "name": "", "url": ""}]}
        if part == "test":
            return info
        ranks = dict.fromkeys(("phylum", "class", "order", "family", "genus"), "obfuscated")
        categories = [{"id": n, "name": str(n), "supercategory": SUPERCATEGORIES[n % 2], "kingdom": SUPERCATEGORIES[n % 2], **ranks} for n in range(4)]
        return {**info, "categories": categories}

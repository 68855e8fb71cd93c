"""House Prices: qualities as numbers, areas and ages added up."""

import pandas as pd

from kit.adapters.tabular import Tabular

QUALITY = {"Po": 1, "Fa": 2, "TA": 3, "Gd": 4, "Ex": 5}  # data_description.txt; "NA" is "there is none" and becomes 0
FINISH = {"Unf": 1, "LwQ": 2, "Rec": 3, "BLQ": 4, "ALQ": 5, "GLQ": 6}
ORDERED = {
    **dict.fromkeys(["ExterQual", "ExterCond", "BsmtQual", "BsmtCond", "HeatingQC", "KitchenQual", "FireplaceQu", "GarageQual", "GarageCond", "PoolQC"], QUALITY),
    **dict.fromkeys(["BsmtFinType1", "BsmtFinType2"], FINISH),
    "BsmtExposure": {"No": 1, "Mn": 2, "Av": 3, "Gd": 4},
    "GarageFinish": {"Unf": 1, "RFn": 2, "Fin": 3},
    "Functional": {"Sal": 1, "Sev": 2, "Maj2": 3, "Maj1": 4, "Mod": 5, "Min2": 6, "Min1": 7, "Typ": 8},
    "LandSlope": {"Sev": 1, "Mod": 2, "Gtl": 3},
    "LotShape": {"IR3": 1, "IR2": 2, "IR1": 3, "Reg": 4},
    "PavedDrive": {"N": 1, "P": 2, "Y": 3},
}


class HousePrices(Tabular):
    def made_features(self) -> list[str]:
        return ["Area", "Baths", "Porch", "Age", "SinceRemodel", "AreaQuality"]

    def features(self, rows: pd.DataFrame, everyone: pd.DataFrame) -> pd.DataFrame:
        for name, order in ORDERED.items():
            rows[name] = rows[name].map(order).fillna(0)
        for name in ("TotalBsmtSF", "GarageArea", "GarageCars", "MasVnrArea", "BsmtFullBath", "BsmtHalfBath", "BsmtFinSF1", "BsmtFinSF2", "BsmtUnfSF"):
            rows[name] = rows[name].fillna(0)  # missing where there is no basement, no garage, no veneer
        rows["Area"] = rows["GrLivArea"] + rows["TotalBsmtSF"]
        rows["AreaQuality"] = rows["Area"] * rows["OverallQual"]
        rows["Baths"] = rows["FullBath"] + rows["BsmtFullBath"] + (rows["HalfBath"] + rows["BsmtHalfBath"]) / 2
        rows["Porch"] = rows[["OpenPorchSF", "EnclosedPorch", "3SsnPorch", "ScreenPorch", "WoodDeckSF"]].sum(axis=1)
        rows["Age"] = rows["YrSold"] - rows["YearBuilt"]
        rows["SinceRemodel"] = rows["YrSold"] - rows["YearRemodAdd"]
        return rows

"""House Prices: qualities as numbers, areas and ages added up."""

from pathlib import Path

import numpy as np
import pandas as pd

from kit.adapters.tabular import Tabular
from kit.files import write_text

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

    def write_sample(self, folder: Path, rows: int = 260) -> None:
        """Made houses with all 79 columns: area, quality, age and neighbourhood make the price."""
        random = np.random.default_rng(0)
        frame = pd.DataFrame({"Id": np.arange(rows) + 1})
        for name in COLUMNS.split():
            if ":" in name:
                name, values = name.split(":")
                frame[name] = random.choice(values.split("|"), rows)
            elif name.endswith("#"):
                name = name[:-1]
                frame[name] = random.integers(0, 4, rows)
            else:
                frame[name] = np.round(random.lognormal(5, 0.6, rows))
        frame["OverallQual"], frame["OverallCond"] = random.integers(1, 11, rows), random.integers(1, 10, rows)
        frame["YrSold"] = random.integers(2006, 2011, rows)
        frame["YearBuilt"] = random.integers(1900, 2006, rows)
        frame["YearRemodAdd"] = frame["YearBuilt"]
        frame["GrLivArea"] = np.round(random.lognormal(7.2, 0.3, rows))
        worth = np.log(frame["GrLivArea"]) + 0.12 * frame["OverallQual"] + 0.004 * (frame["YearBuilt"] - 1900) + 0.2 * (frame["Neighborhood"] == "NridgHt")
        price = np.exp(worth + 3.5 + random.normal(scale=0.05, size=rows)).round()
        held = frame["Id"] > rows * 2 // 3
        for name, part in {
            self.train_file: frame[~held].assign(SalePrice=price[~held]),
            self.test_file: frame[held],
            self.sample_file: frame[held][["Id"]].assign(SalePrice=price.mean()),
        }.items():
            write_text(folder / name, part.to_csv(index=False, lineterminator="\n"))


# the 79 columns in the file's order: "Name:one|two" holds words, "Name#" small whole numbers, and a bare name amounts
COLUMNS = """
MSSubClass:20|60|120 MSZoning:RL|RM|FV LotFrontage LotArea Street:Pave|Grvl Alley:NA|Pave LotShape:Reg|IR1 LandContour:Lvl|Bnk
Utilities:AllPub|NoSeWa LotConfig:Inside|Corner LandSlope:Gtl|Mod Neighborhood:NAmes|NridgHt|OldTown Condition1:Norm|Feedr
Condition2:Norm|Feedr BldgType:1Fam|Twnhs HouseStyle:1Story|2Story OverallQual# OverallCond# YearBuilt# YearRemodAdd# RoofStyle:Gable|Hip
RoofMatl:CompShg|WdShngl Exterior1st:VinylSd|MetalSd Exterior2nd:VinylSd|MetalSd MasVnrType:None|BrkFace MasVnrArea ExterQual:TA|Gd|Ex
ExterCond:TA|Gd Foundation:PConc|CBlock BsmtQual:TA|Gd|NA BsmtCond:TA|Gd BsmtExposure:No|Gd|NA BsmtFinType1:GLQ|Unf|NA BsmtFinSF1
BsmtFinType2:Unf|GLQ BsmtFinSF2 BsmtUnfSF TotalBsmtSF Heating:GasA|GasW HeatingQC:Ex|TA CentralAir:Y|N Electrical:SBrkr|FuseA 1stFlrSF
2ndFlrSF LowQualFinSF# GrLivArea BsmtFullBath# BsmtHalfBath# FullBath# HalfBath# BedroomAbvGr# KitchenAbvGr# KitchenQual:TA|Gd|Ex
TotRmsAbvGrd# Functional:Typ|Min1 Fireplaces# FireplaceQu:NA|TA|Gd GarageType:Attchd|Detchd|NA GarageYrBlt# GarageFinish:Unf|RFn|Fin
GarageCars# GarageArea GarageQual:TA|NA GarageCond:TA|NA PavedDrive:Y|N WoodDeckSF OpenPorchSF EnclosedPorch# 3SsnPorch# ScreenPorch#
PoolArea# PoolQC:NA|Gd Fence:NA|MnPrv MiscFeature:NA|Shed MiscVal# MoSold:5|6|7 YrSold# SaleType:WD|New SaleCondition:Normal|Partial
"""

"""Users' tables in CSV, TSV, JSON Lines and Parquet: read in bounded memory, written with columns added."""

"""What a study shows: tables and figures regenerated from results.csv."""

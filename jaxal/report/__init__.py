"""What a study shows: tables, figures and one HTML page, made anew from its rows and journals."""

"""How well the line does on labelled pictures: data sets, average precision, categories held against labels."""

"""Selection: who and which runs go on to the analysis, once every stage has had its say, and how good they are."""

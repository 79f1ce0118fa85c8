-- Where a refused change stands in the own chain: a city that was restored may know the change before it and not it.

ALTER TABLE refused_change ADD COLUMN before BLOB; -- chain of the own changes at n - 1; NULL: refused by an older program

// Package relational keeps the rows of a context store in SQL that SQLite and PostgreSQL both understand, so that there
// is one text of it and one place to be wrong. What differs (transactions, who waits for whom, the schema's types) is
// theirs.
package relational

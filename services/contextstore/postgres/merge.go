package postgres

import "github.com/serinhq/serin/services/contextstore/relational"

// inBulk are statements that insert many rows, by those that insert one.
var inBulk = map[string]string{
	relational.InsertEvent: `INSERT INTO events (conversation_id, sequence, created_at, data)
		SELECT * FROM unnest(?::text[], ?::bigint[], ?::bigint[], ?::bytea[])`,
	relational.InsertRequest: `INSERT INTO requests (conversation_id, request_id, digest, response)
		SELECT * FROM unnest(?::text[], ?::text[], ?::text[], ?::bytea[])`,
}

// merged writes rows of one table in one statement, after all others, as far as they are of the same tenant. What is merged is
// read by nobody in between.
func merged(queue []statement) []statement {
	var (
		sent    = make([]statement, 0, len(queue))
		waiting = map[string][]statement{}
	)

	settle := func() {
		for _, query := range []string{relational.InsertEvent, relational.InsertRequest} {
			sent = append(sent, merge(query, waiting[query])...)
			delete(waiting, query)
		}
	}

	for _, one := range queue {
		switch {
		case inBulk[one.query] != "":
			waiting[one.query] = append(waiting[one.query], one)

			continue
		case one.query == actAs:
			settle()
		}

		sent = append(sent, one)
	}

	settle()

	return sent
}

// merge makes one statement of several that insert one row each.
func merge(query string, rows []statement) []statement {
	if len(rows) < 2 {
		return rows
	}

	columns := make([]any, len(rows[0].args))
	for i, value := range rows[0].args {
		switch value.(type) {
		case string:
			columns[i] = column[string](rows, i)
		case int64:
			columns[i] = column[int64](rows, i)
		case []byte:
			columns[i] = column[[]byte](rows, i)
		default:
			return rows
		}
	}

	return []statement{{inBulk[query], columns}}
}

func column[T any](rows []statement, i int) []T {
	values := make([]T, 0, len(rows))
	for _, row := range rows {
		values = append(values, row.args[i].(T)) //nolint:forcetypeassert // a column has one type
	}

	return values
}

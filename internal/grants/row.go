package grants

// Value is one value of a result.
type Value struct {
	String string
	Valid  bool // false for NULL, whose String is empty
}

// Row is one row of a result, by column in lower case.
type Row map[string]Value

// Text returns the value of a column. It is empty for NULL, and for a column that the row lacks.
func (r Row) Text(column string) string { return r[column].String }

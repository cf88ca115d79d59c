package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// listOrder is the name of the column that a list is sorted by.
type listOrder string

// listOrders compare two rows. Rows without a value come last, except that a secret that was never
// rotated counts as the oldest.
var listOrders = map[listOrder]func(x, y listed) int{
	"secret":       func(x, y listed) int { return 0 },
	"status":       func(x, y listed) int { return valuesFirst(x.state(), y.state(), cmp.Compare) },
	"error":        func(x, y listed) int { return valuesFirst(x.RotationError, y.RotationError, cmp.Compare) },
	"database":     func(x, y listed) int { return valuesFirst(x.DatabaseHost, y.DatabaseHost, cmp.Compare) },
	"last-rotated": func(x, y listed) int { return x.LastRotatedDate.Compare(y.LastRotatedDate) },
	"next-rotation": func(x, y listed) int {
		return valuesFirst(x.NextRotationDate, y.NextRotationDate, time.Time.Compare)
	},
}

func valuesFirst[T comparable](x, y T, compare func(x, y T) int) int {
	var none T
	if (x == none) != (y == none) {
		return map[bool]int{true: 1, false: -1}[x == none]
	}
	return compare(x, y)
}

func listOrderNames() []string {
	return []string{"secret", "status", "error", "database", "last-rotated", "next-rotation"}
}

func (o *listOrder) String() string { return string(*o) }

func (o *listOrder) Type() string { return "column" }

func (o *listOrder) Set(s string) error {
	if _, ok := listOrders[listOrder(s)]; !ok {
		return fmt.Errorf("must be one of %s", strings.Join(listOrderNames(), ", "))
	}
	*o = listOrder(s)
	return nil
}

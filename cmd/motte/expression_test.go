package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"motte/client"
)

// TestExpressionsAreRead: an expression is written as the client writes it, with all parentheses.
func TestExpressionsAreRead(t *testing.T) {
	for _, k := range []struct {
		args []string
		want string
	}{
		{[]string{"by_age: >= 30"}, `"by_age: >= 30"`},
		{[]string{"by_age:>= 30"}, `"by_age: >= 30"`},
		{[]string{"notes:"}, `"notes: "`},
		{[]string{"notes:  "}, `"notes: "`},
		{[]string{"notes: title:engine AND x "}, `"notes: title:engine AND x "`},
		{[]string{"a: 1", "AND", "b: 2"}, `"a: 1" AND "b: 2"`},
		{[]string{"a: 1", "AND", "b: 2", "AND", "c: 3"}, `"a: 1" AND "b: 2" AND "c: 3"`},
		{[]string{"a: 1", "OR", "b: 2", "OR", "c: 3"}, `"a: 1" OR "b: 2" OR "c: 3"`},
		{[]string{"a: 1", "NOT", "b: 2"}, `"a: 1" AND NOT "b: 2"`},
		{[]string{"a: 1", "AND", "NOT", "b: 2"}, `"a: 1" AND NOT "b: 2"`},
		{[]string{"a: 1", "NOT", "b: 2", "AND", "c: 3", "NOT", "d: 4"}, `"a: 1" AND NOT "b: 2" AND "c: 3" AND NOT "d: 4"`},
		{[]string{"(", "a: 1", ")"}, `"a: 1"`},
		{[]string{"(", "a: 1", "AND", "b: 2", ")", "OR", "c: 3"}, `("a: 1" AND "b: 2") OR "c: 3"`},
		{[]string{"a: 1", "AND", "(", "b: 2", "OR", "c: 3", ")"}, `"a: 1" AND ("b: 2" OR "c: 3")`},
		{[]string{"a: 1", "NOT", "(", "b: 2", "OR", "(", "c: 3", "NOT", "d: 4", ")", ")"}, `"a: 1" AND NOT ("b: 2" OR ("c: 3" AND NOT "d: 4"))`},
	} {
		q, err := parseQuery("people", k.args)
		if err != nil || q.Where.String() != k.want || q.Collection != "people" || q.Index != "" {
			t.Errorf("%q is read as %v, %v; want %s", k.args, q.Where, err, k.want)
		}
		if err := checkQuery(&q); err != nil {
			t.Errorf("%q: %v", k.args, err)
		}
	}
}

// TestTheSingleFormStays: an argument that names an index begins no expression, whatever its
// predicate is.
func TestTheSingleFormStays(t *testing.T) {
	for _, predicate := range []string{"AND", "(", "a: 1", "", "NOT"} {
		q, err := parseQuery("people", []string{"by_age", predicate})
		if err != nil || q.Index != "by_age" || q.Predicate != predicate || q.Where.String() != "" {
			t.Errorf("the predicate %q is read as %+v, %v", predicate, q, err)
		}
	}
}

// TestRefusedExpressions: the error says which argument is wrong, and what to write.
func TestRefusedExpressions(t *testing.T) {
	many := []string{"a: 1"}
	for range 16 {
		many = append(many, "AND", "b: 2")
	}
	for _, k := range []struct {
		args []string
		want string
	}{
		{[]string{"AND", "a: 1"}, "argument 1 of the expression, 'AND': an operand is missing before it"},
		{[]string{"NOT", "a: 1"}, "argument 1 of the expression, 'NOT': NOT leaves out objects of the operand before it, which is missing"},
		{[]string{")"}, "argument 1 of the expression, ')': an operand is missing before it"},
		{[]string{"(", ")"}, "argument 2 of the expression, ')': an operand is missing before it"},
		{[]string{"("}, "argument 1 of the expression, '(': an operand is missing after it"},
		{[]string{"(", "a: 1"}, "argument 1 of the expression, '(': its ')' is missing"},
		{[]string{"a: 1", ")"}, "argument 2 of the expression, ')': no '(' stands before it"},
		{[]string{"a: 1", "AND"}, "argument 2 of the expression, 'AND': an operand is missing after it"},
		{[]string{"a: 1", "AND", "NOT"}, "argument 3 of the expression, 'NOT': an operand is missing after it"},
		{[]string{"a: 1", "AND", "AND", "b: 2"}, "argument 3 of the expression, 'AND': an operand is missing before it"},
		{[]string{"a: 1", "NOT", "NOT", "b: 2"}, "argument 3 of the expression, 'NOT': NOT leaves out"},
		{[]string{"a: 1", "OR", "NOT", "b: 2"}, "argument 3 of the expression, 'NOT': NOT leaves out objects of the operand before it, so it can't follow OR"},
		{[]string{"a: 1", "b: 2"}, "argument 2 of the expression, 'b: 2': AND, OR or NOT is missing before it"},
		{[]string{"a: 1", "(", "b: 2", ")"}, "argument 2 of the expression, '(': AND, OR or NOT is missing before it"},
		{[]string{"a: 1", "and", "b: 2"}, "argument 2 of the expression, 'and': write AND"},
		{[]string{"a: 1", "AND", "not", "b: 2"}, "argument 3 of the expression, 'not': write NOT"},
		{[]string{"a: 1", "AND", ""}, "argument 3 of the expression, '': it is empty"},
		{[]string{"a: 1", ""}, "argument 2 of the expression, '': AND, OR or NOT is missing before it"},
		{[]string{"by_age:", ">= 30"}, "argument 2 of the expression, '>= 30': index and predicate are one argument: 'by_age: >= 30'"},
		{[]string{"a: 1", "AND", "notes", "+enclave"}, "argument 3 of the expression, 'notes': index and predicate are one argument: 'notes: +enclave'"},
		{[]string{"a: 1", "AND", "notes"}, "argument 3 of the expression, 'notes': it is not 'INDEX: PREDICATE'"},
		{[]string{"(a: 1", "OR", "b: 2)"}, "argument 1 of the expression, '(a: 1': a parenthesis is an argument of its own: '(' 'a: 1'"},
		{[]string{"( a: (1) )"}, "argument 1 of the expression, '( a: (1) )': a parenthesis is an argument of its own: '(' 'a: (1)' ')'"},
		{[]string{"By_Age: 1"}, `argument 1 of the expression, 'By_Age: 1': "By_Age" can't be the name of an index`},
		{[]string{"a: 1", "AND", "b: 2", "OR", "c: 3"}, "argument 4 of the expression, 'OR': AND and OR stand side by side: " +
			"put one of them into parentheses: '(' … AND … ')' OR …, or … AND '(' … OR … ')'"},
		{[]string{"a: 1", "OR", "b: 2", "NOT", "c: 3"}, "argument 4 of the expression, 'NOT': NOT and OR stand side by side"},
		{[]string{"a: 1", "NOT", "b: 2", "OR", "c: 3"}, "argument 4 of the expression, 'OR': AND and OR stand side by side"},
		{[]string{"a: " + strings.Repeat("é", 100), "b: 2", "x"}, "argument 2 of the expression, 'b: 2'"},
		{[]string{"a " + strings.Repeat("é", 100) + ":"}, "'a " + strings.Repeat("é", 38) + "…'"},
		{append(strings.Split(strings.Repeat("( ", maxNesting+1), " ")[:maxNesting+1], "a: 1"), fmt.Sprintf("argument %d of the expression, '(': there are more than %d", maxNesting+1, maxNesting)},
		{many, "the expression has 17 leaves, and 16 is the most"},
	} {
		if len(k.args) > 0 && !beginsExpression(k.args[0]) {
			t.Fatalf("%q begins no expression", k.args)
		}
		q, err := parseQuery("people", k.args)
		if err == nil {
			err = checkQuery(&q)
		}
		if !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), k.want) {
			t.Errorf("%q: %v; want an error with %q", k.args, err, k.want)
		}
	}
}

// typedAs writes an expression as arguments, with parentheses around each inner one.
func typedAs(e *randomTree) (args []string) {
	if len(e.args) == 0 {
		return []string{e.leaf}
	}
	for i, arg := range e.args {
		if i > 0 {
			args = append(args, arg.before)
		}
		inner := typedAs(arg)
		if len(arg.args) > 0 {
			inner = append(append([]string{"("}, inner...), ")")
		}
		args = append(args, inner...)
	}
	return args
}

// randomTree is a random expression.
type randomTree struct {
	before string // operator
	leaf   string
	args   []*randomTree
}

func (e *randomTree) expression() client.Expression {
	if len(e.args) == 0 {
		index, predicate, _ := strings.Cut(e.leaf, ": ")
		return client.Leaf(index, predicate)
	}
	var args []client.Expression
	or := false
	for i, arg := range e.args {
		x := arg.expression()
		if i > 0 && arg.before == "NOT" {
			x = client.Not(x)
		}
		or = or || i > 0 && arg.before == "OR"
		args = append(args, x)
	}
	if or {
		return client.Or(args...)
	}
	return client.And(args...)
}

func trees(t *rapid.T, depth int) *randomTree {
	if depth == 0 || rapid.Bool().Draw(t, "leaf") {
		return &randomTree{leaf: rapid.StringMatching(`[a-z][a-z0-9_-]{0,5}: ([^ ].{0,9})?`).Draw(t, "leaf")}
	}
	e := new(randomTree)
	operators := []string{"AND", "NOT"}
	if rapid.Bool().Draw(t, "or") {
		operators = []string{"OR"}
	}
	for range rapid.IntRange(2, 3).Draw(t, "arguments") {
		arg := trees(t, depth-1)
		arg.before = rapid.SampledFrom(operators).Draw(t, "operator")
		e.args = append(e.args, arg)
	}
	return e
}

// TestWrittenExpressionsAreReadBack: each expression can be written, and is read as it was meant.
func TestWrittenExpressionsAreReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := trees(t, 3)
		args, want := typedAs(e), e.expression()
		if got, err := parseExpression(args); err != nil || got.String() != want.String() {
			t.Fatalf("%q is read as %v, %v; want %v", args, got, err, want)
		}
	})
}

// FuzzExpression: any arguments are read or refused, and what is read can be sent.
func FuzzExpression(f *testing.F) {
	f.Add("a: 1\nAND\nb: 2")
	f.Add("(\na: 1\nOR\nb: 2\n)\nNOT\nc: 3")
	f.Add("a:\n>= 30")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseExpression(strings.Split(text, "\n"))
		if err != nil {
			return
		}
		q := client.Query{Collection: "people", Where: e}
		if err := checkQuery(&q); err != nil && !strings.Contains(err.Error(), "is the most") {
			t.Fatalf("%q is read as %v, which can't be sent: %v", text, q.Where, err)
		}
	})
}

// TestQueriesOnTheCommandLine: mistakes are found before a server is asked.
func TestQueriesOnTheCommandLine(t *testing.T) {
	for _, k := range []struct {
		line []string
		want string
	}{
		{[]string{"search", "people"}, "INDEX PREDICATE is missing: motte search COLLECTION (INDEX PREDICATE | EXPRESSION…)"},
		{[]string{"search", "people", "by_age"}, "PREDICATE is missing"},
		{[]string{"search", "", "a: 1"}, "COLLECTION is empty"},
		{[]string{"search", "People", "a: 1"}, `"People" can't be the name`},
		{[]string{"search", "people", "by_age", ">=", "30"}, `"30" is one argument too many: put the predicate in quotes`},
		{[]string{"search", "people", "by_age", "< 18", "AND", "notes: x"}, "AND belongs to an expression, where index and predicate are one argument: 'by_age: < 18' AND …"},
		{[]string{"count", "people", "a: 1", "AND"}, "an operand is missing after it"},
		{[]string{"search", "people", "a: 1", "--order", "b"}, "index b can't give the order: no leaf asks it"},
		{[]string{"search", "people", "a: 1", "NOT", "b: 2", "--order", "b"}, "below OR or NOT"},
		{[]string{"search", "people", "by_age", "all", "--order", "by_age"}, "--order is for an expression"},
		{[]string{"search", "people", "a: 1", "--explain", "--ids"}, "--explain prints no objects"},
		{[]string{"search", "people", "by_age", "all", "--ids", "--fields", "/a"}, "--ids prints identities"},
		{[]string{"search", "people", "by_age", "all", "--ids", "--sort", "/a"}, "--ids prints identities"},
		{[]string{"delete", "people", "--where", "by_age"}, "--where and a predicate belong together"},
		{[]string{"delete", "people", "--where", "by_age", "< 18", "AND"}, `"AND" is one argument too many`},
		{[]string{"delete", "people", "--where", "a: 1", "AND", "b:"}, "argument 3 of the expression, 'b:': its predicate is empty"},
		{[]string{"delete", "people", "--where", "a: "}, "argument 1 of the expression, 'a: ': its predicate is empty"},
		{[]string{"delete", "people", "--where", "a: 1", "b: 2"}, "AND, OR or NOT is missing before it"},
		{[]string{"delete", "people", "--where", "a: 1", "--name", "x"}, "one of --name, --id and --where is needed"},
		{[]string{"delete", "people", "a: 1"}, "one of --name, --id and --where is needed"},
		{[]string{"get", "people", "--name", "a", "--sort", "/a"}, "--sort sorts the objects of --names"},
		{[]string{"get", "people", "--name", "a", "--fields", "/a", "--out", "x"}, "--out writes the exact bytes"},
	} {
		code, _, stderr := typed(t, k.line...)
		if code != exitUsage || !strings.Contains(stderr, k.want) {
			t.Errorf("motte %q ends with %d and says %q; want %q", k.line, code, stderr, k.want)
		}
	}
}

// TestErrorsOfQueries: the Core answers with a code alone. The command adds what a person can do.
func TestErrorsOfQueries(t *testing.T) {
	single := client.Query{Collection: "people", Index: "by_age"}
	several := client.Query{Collection: "people", Where: client.Leaf("by_age", "all")}
	ordered := several
	ordered.OrderBy = "by_age"
	next := &client.TruncatedError{After: make([]client.Identity, 1)}
	for _, k := range []struct {
		query *client.Query
		err   error
		want  string
	}{
		{&single, client.ErrNoIndex, "index people by_age: no such index"},
		{&several, client.ErrDenied, "collection people: the principal lacks the right"},
		{&several, client.ErrNoIndex, "collection people: no such index; to see which leaf is meant, ask each alone: motte count people INDEX PREDICATE"},
		{&several, &client.TruncatedError{}, "collection people: the answer is truncated: more objects match"},
		{&ordered, next, "collection people: the answer is truncated: more objects match"},
		{&ordered, &client.TruncatedError{}, "collection people: the answer is truncated: more objects match, far behind in the order of by_age: a higher --limit lets it look further"},
		{&ordered, client.ErrInvalidRequest, "collection people: the request is invalid: is by_age an index made with --ordered, which --order needs?"},
	} {
		if err := (&app{}).queryError(t.Context(), nil, k.query, k.err); err.Error() != k.want || !errors.Is(err, k.err) {
			t.Errorf("%v; want %q", err, k.want)
		}
	}
}

package client

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"motte/client/frames"
	"motte/core/codec"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/wire"
)

// step is an item of a program. A test decodes programs on its own.
type step struct {
	kind             byte // 1 leaf, 2 and, 3 or, 4 and not
	index, predicate string
}

// decoded reads the sub-query of a request like the Core.
func decoded(t interface{ Fatalf(string, ...any) }, p []byte) (order int, steps []step) {
	r := codec.NewReader(p)
	order = int(r.U8())
	for r.Len() > 0 {
		s := step{kind: r.U8()}
		if s.kind == 1 {
			r.Zero(1) // any data type
			s.index = r.Text(model.MaxIdentifier)
			s.predicate = string(r.Take(int(r.U32())))
		}
		steps = append(steps, s)
	}
	if err := r.Done(); err != nil {
		t.Fatalf("the program %x: %v", p, err)
	}
	return order, steps
}

// postfix writes a program as a line: the leaf that gives the order, a colon, and the items.
func postfix(t *testing.T, p []byte) string {
	order, steps := decoded(t, p)
	words := []string{fmt.Sprintf("%d:", order)}
	for _, s := range steps {
		switch s.kind {
		case 1:
			words = append(words, s.index+"="+s.predicate)
		default:
			words = append(words, [...]string{2: "and", 3: "or", 4: "and-not"}[s.kind])
		}
	}
	return strings.Join(words, " ")
}

// TestProgramsOfExpressions: each And, Or and Not becomes operators on two results.
func TestProgramsOfExpressions(t *testing.T) {
	a, b, c := Leaf("a", "1"), Leaf("b", "2"), Leaf("c", "3")
	for _, k := range []struct {
		where   Expression
		orderBy string
		program string
		text    string
	}{
		{a, "", "0: a=1", `"a: 1"`},
		{a, "a", "1: a=1", `"a: 1"`},
		{Leaf("a", ""), "", "0: a=", `"a: "`},
		{And(a), "a", "1: a=1", `"a: 1"`},
		{Or(a), "a", "1: a=1", `"a: 1"`},
		{And(a, b), "", "0: a=1 b=2 and", `"a: 1" AND "b: 2"`},
		{And(a, b, c), "c", "3: a=1 b=2 and c=3 and", `"a: 1" AND "b: 2" AND "c: 3"`},
		{Or(a, b, c), "", "0: a=1 b=2 or c=3 or", `"a: 1" OR "b: 2" OR "c: 3"`},
		{And(a, Not(b), c), "c", "3: a=1 b=2 and-not c=3 and", `"a: 1" AND NOT "b: 2" AND "c: 3"`},
		{And(Not(b), a), "a", "1: a=1 b=2 and-not", `NOT "b: 2" AND "a: 1"`},
		{And(Not(b), a, Not(c)), "", "0: a=1 b=2 and-not c=3 and-not", `NOT "b: 2" AND "a: 1" AND NOT "c: 3"`},
		{And(a, Not(Or(b, c))), "a", "1: a=1 b=2 c=3 or and-not", `"a: 1" AND NOT ("b: 2" OR "c: 3")`},
		{And(Or(a, b), c), "c", "3: a=1 b=2 or c=3 and", `("a: 1" OR "b: 2") AND "c: 3"`},
		{Or(And(a, b), c), "", "0: a=1 b=2 and c=3 or", `("a: 1" AND "b: 2") OR "c: 3"`},
		{And(Or(And(a)), Not(And(b))), "a", "1: a=1 b=2 and-not", `"a: 1" AND NOT "b: 2"`},
		{And(Leaf("a", "x"), Leaf("a", "y")), "a", "1: a=x a=y and", `"a: x" AND "a: y"`},
		{And(Or(Leaf("a", "x"), b), Leaf("a", "y")), "a", "3: a=x b=2 or a=y and", `("a: x" OR "b: 2") AND "a: y"`},
	} {
		q := Query{Collection: "c", Where: k.where, OrderBy: k.orderBy}
		r, _, err := q.request(model.OpSearch)
		if err != nil {
			t.Errorf("%s: %v", k.text, err)
			continue
		}
		if got := postfix(t, r.Query); got != k.program || r.Index != "" || r.Type != model.TypeAny {
			t.Errorf("%s: the program is %q, with index %q and type %d; want %q", k.text, got, r.Index, r.Type, k.program)
		}
		if got := k.where.String(); got != k.text {
			t.Errorf("%s is written %s", k.text, got)
		}
	}
}

// leaves returns n leaves.
func leaves(n int) (list []Expression) {
	for i := range n {
		list = append(list, Leaf("a", fmt.Sprint(i)))
	}
	return list
}

// TestRefusedQueries: a query that the Core would not accept is not sent, and the error says which
// part is wrong, and what to do.
func TestRefusedQueries(t *testing.T) {
	a, b, none := Leaf("a", "1"), Leaf("b", "2"), Expression{}
	long := Leaf("a", strings.Repeat("x", model.MaxSubQuery/2))
	for _, k := range []struct {
		query Query
		text  string
	}{
		{Query{}, "neither Index nor Where"},
		{Query{Predicate: "all"}, "neither Index nor Where"},
		{Query{Index: "a", Where: b}, "both Where and an Index or a Predicate"},
		{Query{Predicate: "all", Where: b}, "both Where and an Index or a Predicate"},
		{Query{Index: "a", OrderBy: "a"}, "OrderBy belongs to Where"},
		{Query{Where: Not(a)}, `NOT "a: 1" is not an argument of And: write And(x, Not(y))`},
		{Query{Where: Or(a, Not(b))}, `NOT "b: 2" is not an argument of And`},
		{Query{Where: And(a, Not(Not(b)))}, `NOT "b: 2" is not an argument of And`},
		{Query{Where: And(Not(a), Not(b))}, `And(NOT "a: 1" AND NOT "b: 2") has no argument that finds objects: add an argument that is no Not`},
		{Query{Where: And()}, "And() has no argument that finds objects"},
		{Query{Where: And(a, Or())}, "Or() has no argument"},
		{Query{Where: And(a, none)}, "a part of the expression is empty"},
		{Query{Where: And(a, Not(none))}, "a part of the expression is empty"},
		{Query{Where: Or(none)}, "a part of the expression is empty"},
		{Query{Where: And(a, Leaf("", "x"))}, `leaf ": x": "" can't be the name of an index`},
		{Query{Where: Or(a, Leaf("By_Age", strings.Repeat("é", 100)))}, `leaf "By_Age: ` + strings.Repeat("é", 51) + `…: "By_Age" can't be`},
		{Query{Where: And(a, Leaf("a\x00", "x"))}, "can't be the name of an index"},
		{Query{Where: Or(leaves(17)...)}, "the expression has 17 leaves, and 16 is the most"},
		{Query{Where: And(long, long)}, "bytes, and 1048576 is the most: shorten its predicates"},
		{Query{Where: And(a, b), OrderBy: "c"}, "index c can't give the order: no leaf asks it"},
		{Query{Where: Or(a, b), OrderBy: "a"}, `index a can't give the order: its leaf "a: 1" is below OR or NOT`},
		{Query{Where: And(a, Not(b)), OrderBy: "b"}, `index b can't give the order: its leaf "b: 2" is below OR or NOT`},
		{Query{Where: And(a, Or(b, And(a, b))), OrderBy: "b"}, "is below OR or NOT"},
	} {
		err := k.query.Check()
		var refused *QueryError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), k.text) {
			t.Errorf("%+v: %v; want an error with %q", k.query, err, k.text)
		}
		if tooLarge := strings.Contains(k.text, "shorten"); errors.Is(err, ErrTooLarge) != tooLarge || errors.Is(err, ErrInvalidRequest) == tooLarge {
			t.Errorf("%v: the outcome of the Core is not the one it would have", err)
		}
	}
	if err := (&Query{Where: Or(leaves(16)...)}).Check(); err != nil {
		t.Errorf("16 leaves: %v", err)
	}
	for _, op := range []model.Operation{model.OpCount, model.OpDeleteWhere} {
		q := Query{Where: a, OrderBy: "a"}
		if _, _, err := q.request(op); err == nil || !strings.Contains(err.Error(), "OrderBy is for searches") {
			t.Errorf("operation %d with OrderBy: %v", op, err)
		}
	}
}

// universe is the objects of the model, as bits. A leaf's predicate says which it finds.
const universe = 6

// expressions draws an expression. Only an argument of And may be a Not.
func expressions(t *rapid.T, depth, budget int) Expression {
	kinds := []expressionKind{leafKind, andKind, orKind}
	kind := rapid.SampledFrom(kinds[:1+2*min(depth, 1)]).Draw(t, "kind")
	if kind == leafKind || budget < 2 {
		index := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "index")
		return Leaf(index, rapid.StringMatching(fmt.Sprintf("[01]{%d}", universe)).Draw(t, "predicate"))
	}
	n := rapid.IntRange(1, min(3, budget)).Draw(t, "arguments")
	positive := rapid.IntRange(0, n-1).Draw(t, "positive")
	var args []Expression
	for i := range n {
		arg := expressions(t, depth-1, budget/n)
		if kind == andKind && i != positive && rapid.Bool().Draw(t, "not") {
			arg = Not(arg)
		}
		args = append(args, arg)
	}
	return Expression{kind: kind, args: args}
}

// finds reports whether an expression finds an object, by its definition.
func (e Expression) finds(object int) bool {
	yes := func(arg Expression) bool { return arg.finds(object) }
	no := func(arg Expression) bool { return !arg.finds(object) }
	switch e.kind {
	case leafKind:
		return e.predicate[object] == '1'
	case andKind:
		return !slices.ContainsFunc(e.args, no)
	case orKind:
		return slices.ContainsFunc(e.args, yes)
	}
	return !e.args[0].finds(object)
}

// run carries out a program for one object, and returns the only result on its stack.
func run(t *rapid.T, steps []step, object int) bool {
	var stack []bool
	for _, s := range steps {
		if s.kind == 1 {
			stack = append(stack, s.predicate[object] == '1')
			continue
		}
		lower, top := stack[len(stack)-2], stack[len(stack)-1]
		stack = append(stack[:len(stack)-2], [...]bool{2: lower && top, 3: lower || top, 4: lower && !top}[s.kind])
	}
	if len(stack) != 1 {
		t.Fatalf("%d results are left", len(stack))
	}
	return stack[0]
}

// TestAProgramMeansItsExpression: for random expressions, the program finds the same objects, and
// the leaf that gives the order finds all of them.
func TestAProgramMeansItsExpression(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := expressions(t, 3, 16)
		q := Query{Collection: "c", Where: e, OrderBy: rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "order")}
		r, _, err := q.request(model.OpSearch)
		if err != nil {
			if q.OrderBy == "" || !strings.Contains(err.Error(), "can't give the order") {
				t.Fatalf("%v: %v", e, err)
			}
			return
		}
		order, steps := decoded(t, r.Query)
		if (order > 0) != (q.OrderBy != "") {
			t.Fatalf("%v in the order of %q: leaf %d gives the order", e, q.OrderBy, order)
		}
		var ordering step
		for _, s := range steps {
			if s.kind == 1 {
				if order--; order == 0 {
					ordering = s
				}
			}
		}
		for object := range universe {
			found := run(t, steps, object)
			if found != e.finds(object) {
				t.Fatalf("%v finds object %d: %v; its program: %v", e, object, e.finds(object), found)
			}
			if found && q.OrderBy != "" && (ordering.index != q.OrderBy || ordering.predicate[object] != '1') {
				t.Fatalf("%v in the order of %s: object %d is found, and not by the ordering leaf %+v", e, q.OrderBy, object, ordering)
			}
		}
	})
}

// TestPagesOfAnExpression: each page asks the same, and begins after the page before.
func TestPagesOfAnExpression(t *testing.T) {
	x := &indexed{objects: 25, most: 10}
	c := x.dial(t)
	q := Query{Collection: "c", Where: And(Leaf("a", "1"), Not(Leaf("b", "2"))), OrderBy: "a"}
	shown, err := numbers(t, c.SearchAll(t.Context(), q), identityOf)
	if err != nil || !slices.Equal(shown, countTo(25)) {
		t.Errorf("objects %v, %v; want 1 to 25", shown, err)
	}
	for page := range 3 {
		r := <-x.requests
		if got := postfix(t, r.Query); got != "1: a=1 b=2 and-not" || r.Index != "" || (len(r.Object) > 0) != (page > 0) {
			t.Errorf("page %d asks index %q for %q, after %d bytes of identities", page+1, r.Index, got, len(r.Object))
		}
	}
}

// explaining stands for a Core that explains queries. The frames before the End are given.
type explaining struct {
	code   model.Code
	bodies [][]byte
	kind   wire.Kind
}

func (x explaining) serve(c conn) {
	for q, ok := c.request(); ok; q, ok = c.request() {
		if q.Op != model.OpSearch || q.Flags != wire.FlagExplain {
			c.reply(q.Number, wire.KindEnd, 0, nil)
			continue
		}
		for _, body := range x.bodies {
			c.send(wire.ReplyHeader{Kind: x.kind, Number: q.Number}, body)
		}
		c.send(wire.ReplyHeader{Kind: wire.KindEnd, Code: x.code, Flags: wire.ReplyLast | wire.ReplyTruncated, Number: q.Number, Count: 7},
			make([]byte, identity.Size))
	}
}

// TestExplain: the leaves come with what they cost, in the order of the program.
func TestExplain(t *testing.T) {
	cost := func(objects, rounds, microseconds, flags byte) []byte {
		return []byte{0, 0, 0, objects, 0, 0, 0, rounds, 0, 0, 0, 0, 0, 0, 0, microseconds, flags}
	}
	two := append(cost(5, 1, 90, 1), cost(3, 2, 40, 2)...)
	q := Query{Collection: "c", Where: And(Not(Leaf("b", "2")), Leaf("a", "1"))}
	want := []LeafWork{
		{"a", "1", frames.LeafWork{Objects: 5, Rounds: 1, Time: 90 * time.Microsecond, Exhausted: true}},
		{"b", "2", frames.LeafWork{Objects: 3, Rounds: 2, Time: 40 * time.Microsecond, Ranked: true}},
	}
	x := explaining{kind: wire.KindExplain, bodies: [][]byte{two}}
	got, err := connect(t, fake(t, x.serve)).Explain(t.Context(), q)
	if err != nil || !slices.Equal(got.Leaves, want) || got.Count != 7 || !got.Truncated {
		t.Errorf("explained as %+v, %v; want %+v", got, err, want)
	}
	for name, x := range map[string]explaining{
		"a leaf too few":  {kind: wire.KindExplain, bodies: [][]byte{two[:17]}},
		"no frame":        {kind: wire.KindExplain},
		"two frames":      {kind: wire.KindExplain, bodies: [][]byte{two, two}},
		"another frame":   {kind: wire.KindObject, bodies: [][]byte{two}},
		"a body cut off":  {kind: wire.KindExplain, bodies: [][]byte{two[:33]}},
		"an unknown flag": {kind: wire.KindExplain, bodies: [][]byte{append(cost(5, 1, 90, 1), cost(3, 2, 40, 8)...)}},
	} {
		_, err := connect(t, fake(t, x.serve)).Explain(t.Context(), q)
		if err == nil || !strings.Contains(err.Error(), "can't be decoded") {
			t.Errorf("%s: %v; want an error", name, err)
		}
	}
	denied := connect(t, fake(t, explaining{code: model.Denied}.serve))
	if _, err := denied.Explain(t.Context(), q); !errors.Is(err, ErrDenied) {
		t.Errorf("without the right: %v; want ErrDenied", err)
	}
	if _, err := denied.Explain(t.Context(), Query{Collection: "c"}); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("without an index: %v; want ErrInvalidRequest", err)
	}
	single := connect(t, fake(t, explaining{kind: wire.KindExplain, bodies: [][]byte{two[:17]}}.serve))
	got, err = single.Explain(t.Context(), Query{Collection: "c", Index: "a", Predicate: "1"})
	if err != nil || !slices.Equal(got.Leaves, want[:1]) {
		t.Errorf("a single index is explained as %+v, %v; want %+v", got, err, want[:1])
	}
}

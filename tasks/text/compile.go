package main

import "motte/tasks/text/grammar"

// fewCursors is the number of terms whose lists a search reads side by side. More are gathered first.
const fewCursors = 8

// compile returns the node of a part of a predicate; nil if the part has only words that are not
// indexed. Beside other words, such a part says nothing. Alone it finds nothing.
func (x *search) compile(n grammar.Node) node {
	switch n := n.(type) {
	case grammar.Or:
		return x.oneOf(n)
	case grammar.And:
		if parts := x.list(n); len(parts) > 0 {
			return newAllOf(parts)
		}
		return nil
	case grammar.Not:
		return x.without(&every{search: x}, []grammar.Node{n.Node})
	case grammar.Group:
		return x.group(n)
	case grammar.Weighted:
		if part := x.compile(n.Node); part != nil {
			return &weighted{part, n.Weight}
		}
		return nil
	case grammar.Everything:
		fields := uint32(0)
		if n.Field != "" {
			fields = x.fieldSet(n.Field)
		}
		return &every{search: x, fields: fields}
	default:
		return x.words(n.(grammar.Words))
	}
}

// list compiles parts, and leaves out those that say nothing.
func (x *search) list(parts []grammar.Node) (nodes []node) {
	for _, p := range parts {
		if n := x.compile(p); n != nil {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

func (x *search) oneOf(parts []grammar.Node) node {
	if nodes := x.list(parts); len(nodes) > 0 {
		return newOneOf(nodes)
	}
	return nil
}

func (x *search) group(g grammar.Group) node {
	must, should := x.list(g.Must), x.oneOf(g.Should)
	var n node
	switch {
	case len(must) > 0 && should != nil && x.ranked:
		n = &group{must: newAllOf(must), should: should}
	case len(must) > 0:
		n = newAllOf(must)
	case should != nil:
		n = should
	case len(g.Must)+len(g.Should) > 0: // words that are not indexed
		if len(g.Not) == 0 {
			return nil
		}
		n = &gathered{}
	default:
		n = &every{search: x}
	}
	return x.without(n, g.Not)
}

// without leaves out the objects of some parts. Their words are exact, since a misspelt word must not leave out others.
func (x *search) without(n node, parts []grammar.Node) node {
	x.negations++
	nots := x.list(parts)
	x.negations--
	if len(nots) == 0 {
		return n
	}
	return &group{must: n, not: nots}
}

func (x *search) fieldSet(name string) uint32 {
	if name == "" {
		return 1<<len(x.index.fields) - 1
	}
	for i, f := range x.index.fields {
		if f.name == name {
			return 1 << i
		}
	}
	return 0 // the parser refuses unknown fields
}

// words compiles a word, or several in an order.
func (x *search) words(w grammar.Words) node {
	fields := x.fieldSet(w.Field)
	var nodes []node
	var elements []phraseElement
	rarity := 0.0
	for _, e := range w.Elements {
		if e.Kind == grammar.Exact && x.index.stop[e.Text] {
			continue
		}
		members := x.expand(e, x.edits(&w))
		n, count := x.anyOf(members, fields)
		nodes = append(nodes, n)
		rarity += x.rarity(count)
		elements = append(elements, phraseElement{e.At, newTermSet(members)})
	}
	switch len(nodes) {
	case 0:
		return nil
	case 1:
		return nodes[0]
	}
	first := elements[0].at
	for i := range elements {
		elements[i].at -= first
	}
	return &phrase{search: x, words: newAllOf(nodes), elements: elements, span: elements[len(elements)-1].at, fields: fields, rarity: rarity}
}

// edits returns how many letters of a word may differ.
func (x *search) edits(w *grammar.Words) int {
	if w.Edits > 0 || !x.index.typos || x.negations > 0 {
		return w.Edits
	}
	return w.Tolerance()
}

// anyOf returns a node for a set of terms, and about how many objects it finds.
func (x *search) anyOf(members []member, fields uint32) (node, int) {
	count := 0
	for _, m := range members {
		count += int(x.index.dictionary.terms[m.number].list.count)
	}
	if len(members) > fewCursors {
		n := x.gather(members, fields, count)
		return n, len(n.slots)
	}
	n := &anyOf{count: count, rarity: x.rarity(count)}
	for _, m := range members {
		n.cursors = append(n.cursors, x.cursor(&x.index.dictionary.terms[m.number].list, fields, m.factor))
	}
	return n, count
}

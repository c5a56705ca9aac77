package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"motte/bench/timing"
	"motte/client"
)

// textWords is the number of words of a text, and two commonWords are in about half of all texts each.
const textWords = 60

var commonWords = [2]string{"common", "usual"}

// textOf returns the n-th text. Ten texts that follow each other have a word that no other text has. The other words are as
// unevenly frequent as those of a language.
func textOf(n int) string {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	zipf := rand.NewZipf(r, 1.1, 10, 50_000)
	text := rareWord(n)
	for _, w := range commonWords {
		if r.IntN(2) == 0 {
			text += " " + w
		}
	}
	for range textWords - 2 {
		text += fmt.Sprintf(" w%dx", zipf.Uint64()*7919%50_021)
	}
	return text
}

func rareWord(n int) string { return fmt.Sprintf("rare%d", n/wanted) }

// wordSearcher finds texts by words.
type wordSearcher interface {
	// rare asks for the ten texts with a rare word, and best for the ten best of those with one of two common words.
	rare(ctx context.Context, n int) (timing.Operation, func() error, error)
	best(ctx context.Context, n int) (timing.Operation, func() error, error)
	putTexts(ctx context.Context, n int) (timing.Operation, func() error, error)
}

// wordWork prepares one of the works of a wordSearcher.
func wordWork(n int, work func(wordSearcher, context.Context, int) (timing.Operation, func() error, error)) func(context.Context, *arena, string) (contender, error) {
	return func(ctx context.Context, a *arena, system string) (contender, error) {
		w, s, err := opened[wordSearcher](ctx, a, system)
		if err != nil {
			return contender{}, err
		}
		op, done, err := work(w, ctx, n)
		return workers(s, n, op, done), err
	}
}

const motteTexts = "texts"

// textCollection makes a collection of texts, and waits until its index serves.
func (m *motteServer) textCollection(ctx context.Context, name string) error {
	if err := m.admin.CreateCollection(ctx, name); err != nil {
		return err
	}
	err := m.admin.CreateIndex(ctx, name, motteIndex, client.Index{Task: "text", Ordered: true})
	for err == nil {
		_, err = m.admin.Count(ctx, client.Query{Collection: name, Index: motteIndex, Predicate: "*"})
		if err == nil || !client.Temporary(err) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
		err = ctx.Err()
	}
	return fmt.Errorf("index of %s: %w", name, err)
}

// fillTexts stores the texts, once.
func (m *motteServer) fillTexts(ctx context.Context) error {
	err := m.textCollection(ctx, motteTexts)
	if errors.Is(err, client.ErrExists) {
		return nil
	}
	for n := 0; n < m.objects && err == nil; {
		var b client.Batch
		for ; n < m.objects && b.Len() < loadBatch; n++ {
			b.Put([]byte(textOf(n)), client.Name(objectName(n)))
		}
		_, err = m.admin.PutBatch(ctx, motteTexts, &b)
	}
	return err
}

func (m *motteServer) search(ctx context.Context, n int, predicate func() string) (timing.Operation, func() error, error) {
	if err := m.fillTexts(ctx); err != nil {
		return nil, nil, err
	}
	clients, done, err := m.connect(ctx, n)
	return func(ctx context.Context, worker, _ int) error {
		found := 0
		for _, err := range clients[worker].Search(ctx, client.Query{Collection: motteTexts, Index: motteIndex, Limit: wanted, Predicate: predicate()}) {
			if err != nil {
				return err
			}
			found++
		}
		return checkFound(found)
	}, done, err
}

func (m *motteServer) rare(ctx context.Context, n int) (timing.Operation, func() error, error) {
	return m.search(ctx, n, func() string { return rareWord(m.anyObject()) })
}

func (m *motteServer) best(ctx context.Context, n int) (timing.Operation, func() error, error) {
	return m.search(ctx, n, func() string { return commonWords[0] + " " + commonWords[1] })
}

func (m *motteServer) putTexts(ctx context.Context, n int) (timing.Operation, func() error, error) {
	collection := fmt.Sprint("put-texts-", n)
	if err := m.textCollection(ctx, collection); err != nil {
		return nil, nil, err
	}
	clients, done, err := m.connect(ctx, 1)
	var last atomic.Int64
	return func(ctx context.Context, _, _ int) error {
		i := int(last.Add(1))
		_, err := clients[0].Put(ctx, collection, []byte(textOf(i)), client.Name(objectName(i)))
		return err
	}, done, err
}

// textTable makes a table of texts, with PostgreSQL's index for words.
func (p *postgresServer) textTable(ctx context.Context, name string) error {
	_, err := p.admin.Exec(ctx, fmt.Sprintf(`
		CREATE TABLE %[1]s (name text PRIMARY KEY, body text NOT NULL,
			words tsvector GENERATED ALWAYS AS (to_tsvector('simple', body)) STORED);
		CREATE INDEX %[1]s_words ON %[1]s USING gin (words)`, name))
	return err
}

// fillTexts stores the texts, once.
func (p *postgresServer) fillTexts(ctx context.Context) error {
	var exists bool
	if err := p.admin.QueryRow(ctx, "SELECT to_regclass('texts') IS NOT NULL").Scan(&exists); err != nil || exists {
		return err
	}
	if err := p.textTable(ctx, "texts"); err != nil {
		return err
	}
	rows := pgx.CopyFromSlice(p.objects, func(i int) ([]any, error) { return []any{objectName(i), textOf(i)}, nil })
	if _, err := p.admin.CopyFrom(ctx, pgx.Identifier{"texts"}, []string{"name", "body"}, rows); err != nil {
		return err
	}
	return p.settle(ctx, "texts")
}

func (p *postgresServer) search(ctx context.Context, n int, query string, words func() string) (timing.Operation, func() error, error) {
	if err := p.fillTexts(ctx); err != nil {
		return nil, nil, err
	}
	conns, done, err := p.connect(ctx, n)
	return func(ctx context.Context, worker, _ int) error {
		rows, err := conns[worker].Query(ctx, query, words(), wanted)
		if err != nil {
			return err
		}
		bodies, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		return checkFound(len(bodies))
	}, done, err
}

func (p *postgresServer) rare(ctx context.Context, n int) (timing.Operation, func() error, error) {
	return p.search(ctx, n, "SELECT body FROM texts WHERE words @@ to_tsquery('simple', $1) LIMIT $2", func() string { return rareWord(p.anyObject()) })
}

func (p *postgresServer) best(ctx context.Context, n int) (timing.Operation, func() error, error) {
	const query = `SELECT body FROM texts, to_tsquery('simple', $1) q WHERE words @@ q ORDER BY ts_rank(words, q) DESC LIMIT $2`
	return p.search(ctx, n, query, func() string { return commonWords[0] + " | " + commonWords[1] })
}

func (p *postgresServer) putTexts(ctx context.Context, n int) (timing.Operation, func() error, error) {
	table := fmt.Sprint("put_texts_", n)
	if err := p.textTable(ctx, table); err != nil {
		return nil, nil, err
	}
	conns, done, err := p.connect(ctx, n)
	var last atomic.Int64
	insert := fmt.Sprintf("INSERT INTO %s (name, body) VALUES ($1, $2)", table)
	return func(ctx context.Context, worker, _ int) error {
		i := int(last.Add(1))
		_, err := conns[worker].Exec(ctx, insert, objectName(i), textOf(i))
		return err
	}, done, err
}

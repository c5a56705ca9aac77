package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/magiconair/properties"
	"github.com/pingcap/go-ycsb/pkg/measurement"
	"github.com/pingcap/go-ycsb/pkg/prop"
	_ "github.com/pingcap/go-ycsb/pkg/workload" // registers the workload "core"
	"github.com/pingcap/go-ycsb/pkg/ycsb"

	"motte/bench/timing"
)

// The workloads are YCSB's: A reads and updates, half and half; B reads 95 times of a hundred; C only reads; F reads,
// or reads and then updates, half and half. Which records are popular follows YCSB's zipfian distribution.
//
// A record has one field of 1 KiB, so an update writes the whole record in every system, and each system stores it as
// it stores the objects of the other lines. With YCSB's ten fields of 100 bytes an update would write a tenth of the
// record: that is another question, to which a store of whole objects has no answer but to read and write it all.
var proportions = map[string]map[string]string{
	"A": {prop.ReadProportion: "0.5", prop.UpdateProportion: "0.5"},
	"B": {prop.ReadProportion: "0.95", prop.UpdateProportion: "0.05"},
	"C": {prop.ReadProportion: "1", prop.UpdateProportion: "0"},
	"F": {prop.ReadProportion: "0.5", prop.UpdateProportion: "0", prop.ReadModifyWriteProportion: "0.5"},
}

// field is the name of the one field of a record.
const field = "field0"

// ycsbWorkloads makes YCSB's generators, and remembers which systems hold the records.
type ycsbWorkloads struct {
	records int
	loaded  map[string]bool
}

func newYCSBWorkloads(records int) *ycsbWorkloads {
	// A workload that reads, modifies and writes records that in YCSB's own measurement, which is global.
	measurement.InitMeasure(properties.NewProperties())
	return &ycsbWorkloads{records: records, loaded: make(map[string]bool)}
}

// generator makes the generator of a workload.
func (y *ycsbWorkloads) generator(letter string) (ycsb.Workload, error) {
	p := properties.NewProperties()
	for key, value := range map[string]string{prop.RecordCount: strconv.Itoa(y.records), prop.FieldCount: "1",
		prop.FieldLength: strconv.Itoa(timing.ObjectSize), "requestdistribution": "zipfian"} {
		if _, _, err := p.Set(key, value); err != nil {
			return nil, err
		}
	}
	for key, value := range proportions[letter] {
		if _, _, err := p.Set(key, value); err != nil {
			return nil, err
		}
	}
	return ycsb.GetWorkloadCreator("core").Create(p)
}

// load stores the records in a system, once.
func (y *ycsbWorkloads) load(ctx context.Context, system string, db ycsb.DB) error {
	if y.loaded[system] {
		return nil
	}
	g, err := y.generator("C")
	if err != nil {
		return err
	}
	ctx = g.InitThread(ctx, 0, 1)
	// The zipfian generator picks out of one record more than it was told that there are.
	for left := y.records + 1; left > 0; left -= min(left, loadBatch) {
		if err := g.DoBatchInsert(ctx, min(left, loadBatch), db); err != nil {
			return fmt.Errorf("load: %w", err)
		}
	}
	if a, ok := db.(ycsb.AnalyzeDB); ok {
		if err := a.Analyze(ctx, ""); err != nil {
			return err
		}
	}
	y.loaded[system] = true
	return nil
}

// recordStore is a system that can hold YCSB's records.
type recordStore interface {
	// records makes room for the records if none is there, and returns the store for so many threads.
	records(ctx context.Context, threads int) (recordDB, error)
}

// recordDB is YCSB's interface of a store, as far as the workloads use it. Scans and deletions are in none of them.
type recordDB interface {
	ycsb.DB
	ycsb.BatchDB
}

// workload runs one of YCSB's workloads, with one transaction in flight in each of so many threads.
func workload(letter string, threads int) func(context.Context, *arena, string) (contender, error) {
	return func(ctx context.Context, a *arena, name string) (contender, error) {
		r, s, err := opened[recordStore](ctx, a, name)
		if err != nil {
			return contender{}, err
		}
		db, err := r.records(ctx, threads)
		if err != nil {
			return contender{}, err
		}
		if err := a.ycsb.load(ctx, name, db); err != nil {
			return contender{}, errors.Join(err, db.Close())
		}
		g, err := a.ycsb.generator(letter)
		if err != nil {
			return contender{}, errors.Join(err, db.Close())
		}
		// A context holds the state of one YCSB thread, above all its source of randomness.
		contexts := make([]context.Context, threads)
		for i := range contexts {
			contexts[i] = db.InitThread(g.InitThread(context.WithoutCancel(ctx), i, threads), i, threads)
		}
		return workers(s, threads, func(_ context.Context, worker, _ int) error {
			return g.DoTransaction(contexts[worker], db)
		}, db.Close), nil
	}
}

// errNotUsed is the answer to what no workload asks for.
var errNotUsed = errors.New("none of the workloads does that")

// unused is the part of YCSB's interface that the workloads don't use.
type unused struct{}

func (unused) InitThread(ctx context.Context, _, _ int) context.Context { return ctx }
func (unused) CleanupThread(context.Context)                            {}
func (unused) Scan(context.Context, string, string, int, []string) ([]map[string][]byte, error) {
	return nil, errNotUsed
}
func (unused) Insert(context.Context, string, string, map[string][]byte) error { return errNotUsed }
func (unused) Delete(context.Context, string, string) error                    { return errNotUsed }
func (unused) BatchRead(context.Context, string, []string, []string) ([]map[string][]byte, error) {
	return nil, errNotUsed
}
func (unused) BatchUpdate(context.Context, string, []string, []map[string][]byte) error {
	return errNotUsed
}
func (unused) BatchDelete(context.Context, string, []string) error { return errNotUsed }

// record makes YCSB's record of an object.
func record(object []byte) (map[string][]byte, error) {
	return map[string][]byte{field: object}, checkSize(object)
}

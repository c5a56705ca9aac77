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

// The workloads are YCSB's. A reads and updates, half and half. B reads in 95 of 100 operations.
// C only reads. F reads in half of the operations, and reads and then updates in the other half.
// YCSB's zipfian distribution picks the records.
// A record has one field of 1 KiB. So an update writes the whole record in every system, and
// each system stores it like the objects of the other lines. With YCSB's ten fields of 100
// bytes, an update would write a tenth of the record. A store of whole objects must read and
// write the whole record for that, which is another comparison.
var proportions = map[string]map[string]string{
	"A": {prop.ReadProportion: "0.5", prop.UpdateProportion: "0.5"},
	"B": {prop.ReadProportion: "0.95", prop.UpdateProportion: "0.05"},
	"C": {prop.ReadProportion: "1", prop.UpdateProportion: "0"},
	"F": {prop.ReadProportion: "0.5", prop.UpdateProportion: "0", prop.ReadModifyWriteProportion: "0.5"},
}

// field is the name of the only field of a record.
const field = "field0"

// ycsbWorkloads makes YCSB's generators, and records which systems have the records.
type ycsbWorkloads struct {
	records int
	loaded  map[string]bool
}

func newYCSBWorkloads(records int) *ycsbWorkloads {
	// YCSB records the times of read-modify-write operations in its own global measurement.
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
	// The zipfian generator can pick one record more than the given number.
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
	// records makes the table or collection of records if it is missing. It returns the store for
	// this number of threads.
	records(ctx context.Context, threads int) (recordDB, error)
}

// recordDB is the part of YCSB's interface of a store that the workloads use. No workload scans
// or deletes.
type recordDB interface {
	ycsb.DB
	ycsb.BatchDB
}

// workload runs one of YCSB's workloads, with one transaction in flight in each thread.
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
		// A context holds the state of a YCSB thread, mainly its source of randomness.
		contexts := make([]context.Context, threads)
		for i := range contexts {
			contexts[i] = db.InitThread(g.InitThread(context.WithoutCancel(ctx), i, threads), i, threads)
		}
		return workers(s, threads, func(_ context.Context, worker, _ int) error {
			return g.DoTransaction(contexts[worker], db)
		}, db.Close), nil
	}
}

// errNotUsed is the result of methods that no workload calls.
var errNotUsed = errors.New("none of the workloads does that")

// unused is the part of YCSB's interface that the workloads do not use.
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

// record returns an object as a record of YCSB.
func record(object []byte) (map[string][]byte, error) {
	return map[string][]byte{field: object}, checkSize(object)
}

package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

// example returns a line in which Motte is faster than one peer, and slower than another.
func example() result {
	turn := func(rate float64, p50 time.Duration) observation {
		return observation{rate: rate, server: 5 * time.Microsecond, client: 15 * time.Microsecond, p50: p50,
			p99: 2 * p50, p999: 3 * p50}
	}
	return result{
		line: line{name: "GET <1>", systems: []string{motte, bareEcho, postgres}, targets: []target{
			{peer: bareEcho, figure: latency, most: 2}, {peer: postgres, least: 3}}},
		of: map[string][]observation{
			motte:    {turn(1000, time.Millisecond), turn(3000, 2*time.Millisecond), turn(2000, 3*time.Millisecond)},
			bareEcho: {turn(9000, time.Millisecond), turn(9000, time.Millisecond), turn(9000, time.Millisecond)},
			postgres: {turn(500, 9*time.Millisecond), turn(750, 9*time.Millisecond), turn(4000, 9*time.Millisecond)},
		},
	}
}

// TestRatiosAreOfTurns: a ratio is taken within each turn, so that a disturbance affects both
// sides.
func TestRatiosAreOfTurns(t *testing.T) {
	r := example()
	if got, want := r.ratio(postgres, rate), (spread{0.5, 2, 4}); got != want {
		t.Errorf("rates beside PostgreSQL: %v, not %v", got, want)
	}
	if got, want := r.ratio(bareEcho, latency), (spread{1, 2, 3}); got != want {
		t.Errorf("latencies beside the echo: %v, not %v", got, want)
	}
}

func TestTargetsAreJudgedByMedians(t *testing.T) {
	for _, tc := range []struct {
		target target
		ratio  spread
		met    bool
	}{
		{target{least: 3}, spread{1, 2.9, 9}, false},
		{target{least: 3}, spread{1, 3, 9}, true},
		{target{most: 2}, spread{1, 2, 9}, true},
		{target{most: 2}, spread{1, 2.1, 9}, false},
	} {
		if tc.target.met(tc.ratio) != tc.met {
			t.Errorf("%v with %v: met is %v", tc.target, tc.ratio, !tc.met)
		}
	}
}

func TestSpread(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   spread
	}{
		{nil, spread{}},
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{5, 1}, spread{1, 3, 5}},
		{[]float64{9, 1, 2}, spread{1, 2, 9}},
	} {
		if got := spreadOf(tc.values); got != tc.want {
			t.Errorf("%v: %v, not %v", tc.values, got, tc.want)
		}
	}
}

// TestTableIsMarkdown: each row has as many cells as the head, and each figure is in its cell.
func TestTableIsMarkdown(t *testing.T) {
	var b bytes.Buffer
	if err := printTable(&b, "conditions", []result{example()}); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(b.String(), "\n\n")
	rows := strings.Split(strings.TrimSpace(table), "\n")
	for _, row := range rows {
		if strings.Count(row, "|") != strings.Count(rows[0], "|") {
			t.Errorf("%q has other cells than %q", row, rows[0])
		}
	}
	for _, want := range []string{
		"| GET <1> | Motte | 1,000 · **2,000** · 3,000 | 5.00 | 15.0 | 2.00 | 4.00 | 6.00 |",
		"|  | echo | 9,000 · **9,000** · 9,000 | 5.00 | 15.0 | 1.00 | 2.00 | 3.00 | p50 × 2.00 (1.00–3.00) | ≤ 2.00 | met |",
		"|  | PostgreSQL | 500 · **750** · 4,000 | 5.00 | 15.0 | 9.00 | 18.0 | 27.0 | rate × 2.00 (0.50–4.00) | ≥ 3.00 | **missed** |",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("there is no row\n%s\nin\n%s", want, table)
		}
	}
}

// TestEveryTargetIsInTheTable: a line lists each system once, with Motte first. It has targets
// only for its own systems.
func TestEveryTargetIsInTheTable(t *testing.T) {
	for _, l := range lines {
		seen := make(map[string]bool)
		for _, s := range l.systems {
			if seen[s] {
				t.Errorf("%s lists %s twice", l.name, s)
			}
			seen[s] = true
		}
		if l.systems[0] != motte {
			t.Errorf("%s begins with %s", l.name, l.systems[0])
		}
		for _, want := range l.targets {
			if got, ok := l.targetBeside(want.peer); !ok || got != want || !seen[want.peer] {
				t.Errorf("%s: the target %v beside %s is not in the table, since the line lacks that system", l.name, want, want.peer)
			}
			if (want.least == 0) == (want.most == 0) {
				t.Errorf("%s: the target beside %s has no bound, or two", l.name, want.peer)
			}
		}
	}
}

// TestBarsReachTheLineWithTheTarget, for both directions of better. No bar leaves the picture.
func TestBarsReachTheLineWithTheTarget(t *testing.T) {
	for _, tc := range []struct {
		target target
		ratio  float64
		want   float64
	}{
		{target{least: 3}, 3, targetAt},
		{target{most: 4}, 4, targetAt},
		{target{least: 3}, 0, barsAt},
		{target{most: 4}, 8, (barsAt + targetAt) / 2},
		{target{least: 3}, 1.5, (barsAt + targetAt) / 2},
		{target{least: 3}, 1000, barsEnd},
		{target{most: 4}, 0.001, barsEnd},
		{target{most: 4}, 0, barsAt},
	} {
		if got := (bar{target: tc.target}).end(tc.ratio); math.Abs(got-tc.want) > 0.01 {
			t.Errorf("%v, ratio %g: the bar ends at %g, not %g", tc.target, tc.ratio, got, tc.want)
		}
	}
}

// TestChartIsXML for any name of a line. It has a bar for each target, and loads no other file.
func TestChartIsXML(t *testing.T) {
	var b bytes.Buffer
	if err := drawChart(&b, bars([]result{example()})); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	classes := make(map[string]int)
	for d := xml.NewDecoder(&b); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			for _, a := range e.Attr {
				if a.Name.Local == "class" {
					classes[a.Value]++
				}
			}
		}
	}
	if classes["met"] != 1 || classes["missed"] != 1 {
		t.Errorf("bars by class: %v", classes)
	}
	own := strings.Replace(text, `xmlns="http://www.w3.org/2000/svg"`, "", 1)
	if strings.Contains(own, "http") || strings.Contains(own, "url(") {
		t.Errorf("the picture refers to another file:\n%s", text)
	}
}

// TestSamplesShareTheTime: all samples together take as long as the run.
func TestSamplesShareTheTime(t *testing.T) {
	p := newProgress([]line{{systems: []string{motte, redis}}, {systems: []string{motte, redis, postgres}}}, 4)
	if got := p.each(40 * time.Second); got != 2*time.Second {
		t.Errorf("each of 20 samples of 40 s takes %v", got)
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{0.123: "0.12", 2.5: "2.50", 16.44: "16.4", 1234.5: "1234"} {
		if got := significant(v); got != want {
			t.Errorf("%g: %q, not %q", v, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567.8: "1,234,568"} {
		if got := thousands(v); got != want {
			t.Errorf("%g: %q, not %q", v, got, want)
		}
	}
}

func TestModelName(t *testing.T) {
	if got := modelName("processor\t: 0\nmodel name\t: Some: CPU\nflags\t: fpu\n"); got != "Some: CPU" {
		t.Errorf("the model is %q; want \"Some: CPU\"", got)
	}
	if got := modelName(""); got != "unknown" {
		t.Errorf("without a model name, the model is %q", got)
	}
}

// TestOwnCPUGrows: the processor time includes work.
func TestOwnCPUGrows(t *testing.T) {
	before, err := ownCPU()
	if err != nil {
		t.Fatal(err)
	}
	x := 1.0
	for range 10_000_000 {
		x = math.Sqrt(x + 1)
	}
	after, err := ownCPU()
	if err != nil || after <= before || math.IsNaN(x) {
		t.Errorf("the work took %v of processor time, %v; want more than 0", after-before, err)
	}
}

// TestClientsTrustTheServerAlone: clients do not trust the certificate of another run.
func TestClientsTrustTheServerAlone(t *testing.T) {
	a, err := newIdentity()
	if err != nil {
		t.Fatal(err)
	}
	b, err := newIdentity()
	if err != nil {
		t.Fatal(err)
	}
	if a.password == b.password || len(a.password) != 32 {
		t.Errorf("two runs have the passwords %q and %q; want different ones", a.password, b.password)
	}
	block, _ := pem.Decode(a.certificate)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(id *identity) error {
		_, err := c.Verify(x509.VerifyOptions{Roots: id.roots, DNSName: id.client().ServerName})
		return err
	}
	if err := verify(a); err != nil {
		t.Errorf("clients of the same run: %v", err)
	}
	if verify(b) == nil {
		t.Error("clients of another run trust the certificate, too; want an error")
	}
}

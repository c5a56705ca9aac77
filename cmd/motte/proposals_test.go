package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"motte/internal/realdata"
)

var allTasks = map[string]bool{"filter": true, "geo": true, "image": true, "ordered": true, "scan": true, "series": true, "sql": true, "text": true, "trigram": true, "vector": true}

// proposed returns what is proposed for objects: the Task and the configuration of each index.
func proposed(t *testing.T, registered map[string]bool, objects ...string) (lines []string) {
	t.Helper()
	s := newSample()
	for _, o := range objects {
		s.add([]byte(o))
	}
	for _, p := range s.proposals("people", uint64(len(objects)), registered, map[string]bool{"by_age": true}) {
		text, err := compactJSON(p.Configuration)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, p.Index+" "+p.Task+" "+text)
		if ordered := strings.HasSuffix(p.Command, " --ordered"); !strings.HasPrefix(p.Command, "motte index create people "+p.Index+" --task "+p.Task) || ordered != p.Ordered || p.Reason == "" {
			t.Errorf("the proposal %+v has a command that is not its own, or no reason", p)
		}
	}
	return lines
}

// numbered makes objects by a format that takes a number, three of its remainders, and the number again.
func numbered(format string) (objects []string) {
	for n := range 100 {
		objects = append(objects, strings.NewReplacer("{n}", fmt.Sprint(n), "{3}", fmt.Sprint(n%3), "{4}", fmt.Sprint(n%4), "{60}", fmt.Sprintf("%02d", n%60)).Replace(format))
	}
	return objects
}

// TestProposals: each kind of member leads to the Task that suits it.
func TestProposals(t *testing.T) {
	array := strings.TrimSuffix(strings.Repeat("0.5,", 16), ",")
	for _, c := range []struct {
		format string
		want   string
	}{
		{`{"age":{n}}`, `by_age_2 ordered {"path":"/age","type":"int64"}`},
		{`{"a":{"w/h":{n}.5}}`, `by_w_1h ordered {"path":"/a/w~1h","type":"float64"}`},
		{`{"weights":["{n}-x","y-{n}"]}`, `by_weights ordered {"path":"/weights","type":"string"}`},
		{`{"born":"2024-05-01T12:{60}:00.{n}Z"}`, `by_born ordered {"path":"/born","type":"time"}`},
		{`{"kind":"k{3}","tags":["a{3}","b{4}"],"ok":true,"level":{4}}`, `facts filter {"fields":["/kind","/tags","/ok","/level"]}`},
		{`{"note":"A note of some length, about the {n} things that nobody asked for."}`, `words text {"fields":["/note"]}`},
		{`{"url":"https://example.org/{n}/index"}`, `parts trigram {"fields":["/url"]}`},
		{`{"e":[{n},` + array + `]}`, `near_e vector {"path":"/e","dimensions":17}`},
		{`{"where":{"type":"Point","coordinates":[{n},4]}}`, `where geo {"path":"/where"}`},
		{`{"at":{"Latitude":{n}.5e-1,"lon":{n}}}`, `place geo {"lat":"/at/Latitude","lng":"/at/lon"}`},
		{`{"t":"2024-05-01T12:{60}:00.{n}Z","sensor":{3},"v":{n}.25}`, `series series {"time":"/t","series":["/sensor"],"value":"/v"}`},
		{`{"b":{n}.5,"Order":{n},"c":{"d":"x{3}","e":"2024-05-01T12:{60}:00Z"},"l":[{n}],"ok":true}`, `cols sql {"columns":[{"name":"b","path":"/b","type":"real","index":true},` +
			`{"name":"d","path":"/c/d","type":"text"},{"name":"e","path":"/c/e","type":"time","index":true},{"name":"ok","path":"/ok","type":"boolean"}]}`},
		{"\x89PNG\r\n\x1a\n{n}", `similar image null`},
		{"a text, number {n}", `words text null`},
		{`{"a":{n}}`, `any scan null`},
	} {
		if got := proposed(t, allTasks, numbered(c.format)...); !slices.Contains(got, c.want) {
			t.Errorf("for objects such as %.60q, these are proposed:\n%s\nwant among them\n%s", c.format, strings.Join(got, "\n"), c.want)
		}
	}
}

// TestWhatIsNotProposed: nothing for members that do not suit a Task, and no Task that is not registered.
func TestWhatIsNotProposed(t *testing.T) {
	for _, c := range []struct {
		format, not string
	}{
		{`{"at":{"lat":{n}e-1,"lng":{n}}}`, "ordered"},
		{`{"lat":{n}9,"lng":{n}}`, "geo"},
		{`{"e":[{n},1,2]}`, "vector"},
		{`{"name":"n{n}"}`, "text"},
		{`{"name":"n{n}"}`, "filter"},
		{`{"note":null}`, "ordered"},
		{`{"x":{"type":"Pint","coordinates":[{n}]}}`, "geo"},
		{`[{n}]`, "scan"},
		{"\xff\xfe{n}", "text"},
	} {
		for _, line := range proposed(t, allTasks, numbered(c.format)...) {
			if strings.Split(line, " ")[1] == c.not {
				t.Errorf("for objects such as %.60q, %s is proposed", c.format, line)
			}
		}
	}
	if got := proposed(t, map[string]bool{"filter": true}, numbered(`{"age":{n},"kind":{3}}`)...); len(got) != 1 {
		t.Errorf("with filter alone, these are proposed: %q", got)
	}
	if got := proposed(t, allTasks); len(got) != 0 {
		t.Errorf("without objects, these are proposed: %q", got)
	}
}

// TestCommandsAreQuoted: no member's name ends the quotes of its command.
func TestCommandsAreQuoted(t *testing.T) {
	s := newSample()
	for _, o := range numbered(`{"it's; rm":{n}}`) {
		s.add([]byte(o))
	}
	list := s.proposals("a b", 100, map[string]bool{"ordered": true}, map[string]bool{})
	const want = `motte index create 'a b' by_it_s_rm --task ordered --config '{"path":"/it'\''s; rm","type":"int64"}' --ordered`
	if len(list) != 1 || list[0].Command != want {
		t.Errorf("the proposals are %+v, want the command %s", list, want)
	}
}

// TestReasonsSayMostly: a reason does not give a type to values that have another.
func TestReasonsSayMostly(t *testing.T) {
	for _, odd := range []bool{false, true} {
		s := newSample()
		for _, o := range numbered(`{"age":{n}}`) {
			s.add([]byte(o))
		}
		want := "100 of 100 objects have /age, a whole number"
		if odd {
			s.add([]byte(`{"age":"unknown"}`))
			want = "101 of 101 objects have /age, mostly a whole number"
		}
		list := s.proposals("people", uint64(s.objects), map[string]bool{"ordered": true}, map[string]bool{})
		if len(list) != 1 || !strings.HasPrefix(list[0].Reason, want) {
			t.Errorf("the proposals are %+v, want the reason %s", list, want)
		}
	}
}

// TestProposalsForPackages: the sample of a real data set leads to the indexes that its documentation shows.
func TestProposalsForPackages(t *testing.T) {
	var objects []string
	for n, o := range realdata.Packages(t) {
		if n%130 == 0 {
			objects = append(objects, string(o))
		}
	}
	got := strings.Join(proposed(t, allTasks, objects...), "\n")
	for _, want := range []string{`ordered {"path":"/installed_size","type":"int64"}`, `"/description"]}`, `"/section"`, `"/tags"]}`, `"/homepage"`, `any scan`} {
		if !strings.Contains(got, want) {
			t.Errorf("these are proposed for packages:\n%s\nwant among them %s", got, want)
		}
	}
}

// FuzzSample: no object makes the command panic, and each configuration is JSON.
func FuzzSample(f *testing.F) {
	for _, s := range []string{`{"a":[1,2,3],"b":{"type":"Point","coordinates":[1,2]},"c":null}`, `[]`, `{"lat":1,"lng":2}`, `{"a":[[],{}]}`, "RIFF....WEBPVP8 "} {
		f.Add([]byte(s), []byte(s))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		s := newSample()
		for range 5 {
			s.add(a)
			s.add(b)
		}
		for _, p := range s.proposals("c", 10, allTasks, map[string]bool{}) {
			text, err := compactJSON(p.Configuration)
			if err != nil || !json.Valid([]byte(text)) {
				t.Fatalf("the configuration %q is not JSON (%v)", text, err)
			}
		}
	})
}

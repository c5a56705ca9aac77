package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"motte/client"
	"motte/core/model"
	"motte/host"
	"motte/internal/testutil"
)

// metricsServer starts a server, and waits until its page has every kind of metric.
func metricsServer(t *testing.T, names bool) (s *server, page func(path string) (string, int)) {
	t.Helper()
	dir := t.TempDir()
	s = launchWith(t, host.Config{Dir: filepath.Join(dir, "store"), Metrics: "127.0.0.1:0", MetricsNames: names,
		Anchor: "file:" + filepath.Join(dir, "anchor")}).awaitReady()
	page = func(path string) (string, int) {
		t.Helper()
		r, err := http.Get("http://" + s.pages + path)
		testutil.Must(t, err)
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		testutil.Must(t, err)
		return string(text), r.StatusCode
	}
	c, ctx := s.admin(), t.Context()
	testutil.Must(t, c.CreateCollection(ctx, "secretive"))
	testutil.Must(t, c.CreateIndex(ctx, "secretive", "hidden", client.Index{Task: "ordered", Config: []byte(`{"type":"int64"}`)}))
	testutil.Eventually(t, "the index", serving(c, "secretive", "hidden"))
	_, err := c.Put(ctx, "secretive", []byte("1"))
	testutil.Must(t, err)
	testutil.Must(t, c.Compact(ctx)) // writes checkpoints
	_, err = c.Verify(ctx)           // makes a pass of the scrub
	testutil.Must(t, err)
	testutil.Eventually(t, "all metrics", func() error {
		text, _ := page("/metrics")
		for _, want := range []string{`motte_index_state{index="1",state="serving"} 1`, "motte_index_start_seconds",
			"motte_checkpoint_lsn", "motte_scrub_pass_timestamp_seconds", "motte_disk_free_bytes", `motte_index_memory_limit_bytes{index="1"}`} {
			if !strings.Contains(text, want) {
				return fmt.Errorf("the page lacks %s", want)
			}
		}
		if names != strings.Contains(text, "motte_index_info") {
			return fmt.Errorf("the page shows names, though --metrics-names is %v", names)
		}
		return nil
	})
	return s, page
}

// metric is a metric as the page or the documentation describes it.
type metric struct {
	kind   string
	labels string // sorted
}

var (
	exportedKind   = regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`)
	exportedSample = regexp.MustCompile(`(?m)^(\w+?)(?:_bucket|_sum|_count)?\{(.*)\} `)
	exportedLabel  = regexp.MustCompile(`(\w+)="`)
	documented     = regexp.MustCompile("(?m)^\\| `(motte_\\w+)` \\| (\\w+) \\|([^|]*)\\|")
	named          = regexp.MustCompile(`\b(?:motte|process|go)_[a-z_]+\b`)
)

// ofSystem matches the metrics of libraries and of the process. The documentation lists only
// their prefixes.
var ofSystem = regexp.MustCompile(`^(go|process|motte_core_process)_`)

func exported(page string) map[string]metric {
	labels := make(map[string]map[string]bool)
	for _, m := range exportedSample.FindAllStringSubmatch(page, -1) {
		if labels[m[1]] == nil {
			labels[m[1]] = make(map[string]bool)
		}
		for _, l := range exportedLabel.FindAllStringSubmatch(m[2], -1) {
			if l[1] != "le" {
				labels[m[1]][l[1]] = true
			}
		}
	}
	list := make(map[string]metric)
	for _, m := range exportedKind.FindAllStringSubmatch(page, -1) {
		list[m[1]] = metric{m[2], strings.Join(slices.Sorted(maps.Keys(labels[m[1]])), ", ")}
	}
	return list
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", path))
	testutil.Must(t, err)
	return string(text)
}

// TestEachMetricIsDocumented: the documentation has the type and labels of each exported metric,
// and no other metric. The rules, their tests and the dashboard use only exported metrics.
func TestEachMetricIsDocumented(t *testing.T) {
	_, page := metricsServer(t, true)
	text, _ := page("/metrics")
	got := exported(text)
	want := make(map[string]metric)
	for _, m := range documented.FindAllStringSubmatch(read(t, "reference/metrics.md"), -1) {
		labels := strings.Split(strings.TrimSpace(m[3]), ", ")
		slices.Sort(labels)
		want[m[1]] = metric{m[2], strings.Join(labels, ", ")}
	}
	for name, m := range got {
		if w, ok := want[name]; !ofSystem.MatchString(name) && (!ok || w != m) {
			t.Errorf("%s is exported as %+v, docs/reference/metrics.md has %+v, %v", name, m, w, ok)
		}
	}
	for name, w := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("docs/reference/metrics.md has %s, %+v, and a server does not export it", name, w)
		}
	}
	for _, name := range []string{"motte_core_process_resident_memory_bytes", "process_cpu_seconds_total", "go_goroutines"} {
		if _, ok := got[name]; !ok {
			t.Errorf("the page lacks %s", name)
		}
	}
	for _, path := range []string{"reference/metrics.md", "how-to/monitor.md", "monitoring/alerts.yml",
		"monitoring/alerts_test.yml", "monitoring/alerts_week_test.yml", "monitoring/dashboard.json"} {
		text := read(t, path)
		if strings.HasSuffix(path, ".json") && !json.Valid([]byte(text)) {
			t.Errorf("%s is not JSON", path)
		}
		for _, name := range named.FindAllString(text, -1) {
			_, whole := got[name]
			base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			if !whole && got[base].kind != "histogram" && !strings.HasSuffix(name, "_") {
				t.Errorf("docs/%s names %s, which a server does not export", path, name)
			}
		}
	}
	if text, status := page("/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: %d\n%s", status, text)
	}
}

// TestMetricsShowNoNameUnasked: without --metrics-names, a reader of the page sees only numbers
// of indexes.
func TestMetricsShowNoNameUnasked(t *testing.T) {
	_, page := metricsServer(t, false)
	text, _ := page("/metrics")
	if found := regexp.MustCompile(`.*(secretive|hidden).*`).FindString(text); found != "" {
		t.Errorf("the page has the name %s; want only numbers", found)
	}
}

// TestEachAlertSaysWhatToDo: every rule has a row in the how-to, and each row has a rule.
func TestEachAlertSaysWhatToDo(t *testing.T) {
	names := func(path, pattern string) (list []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(read(t, path), -1) {
			list = append(list, m[1])
		}
		return slices.Sorted(slices.Values(list))
	}
	rules := names("monitoring/alerts.yml", `(?m)^ +- alert: (\w+)$`)
	rows := names("how-to/monitor.md", "(?m)^\\| `(Motte\\w+)` \\|")
	if len(rules) == 0 || !slices.Equal(rules, rows) {
		t.Errorf("the rules are\n%q, but the how-to has the rows\n%q", rules, rows)
	}
	tested := read(t, "monitoring/alerts_test.yml") + read(t, "monitoring/alerts_week_test.yml")
	for _, name := range rules {
		if !regexp.MustCompile(`(?m)^ +alertname: ` + name + `\n +exp_alerts:\n +- exp_labels`).MatchString(tested) {
			t.Errorf("no test of the rules expects %s to fire", name)
		}
	}
}

// TestEachReasonHasARule: for each reason of the Core's alerts a rule exists, and a rule names
// only existing reasons.
func TestEachReasonHasARule(t *testing.T) {
	watched := map[string]string{ // reasons that a rule watches by another metric
		client.ReasonName(model.ReasonTooSlow):   "motte_index_restarts_total",
		client.ReasonName(model.ReasonTaskEnded): "motte_index_restarts_total",
		client.ReasonName(model.ReasonStorage):   "motte_read_only",
	}
	rules, named := read(t, "monitoring/alerts.yml"), make(map[string]bool)
	for _, m := range regexp.MustCompile(`reason=~?"([^"]+)"`).FindAllStringSubmatch(rules, -1) {
		for _, reason := range strings.Split(m[1], "|") {
			named[reason] = true
		}
	}
	for r := model.ReasonInvalidIdentity; r <= model.LastReason; r++ {
		name := client.ReasonName(r)
		if metric := watched[name]; !named[name] && (metric == "" || !strings.Contains(rules, metric)) {
			t.Errorf("no rule watches the reason %s", name)
		}
		delete(named, name)
	}
	if len(named) > 0 {
		t.Errorf("rules name unknown reasons: %v", named)
	}
}

// promtool runs Prometheus's own checks. It skips the test if promtool is missing.
func promtool(t *testing.T, input string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("MOTTE_REQUIRE_PROMTOOL") == "1" {
			t.Fatal(err)
		}
		t.Skip("promtool is missing; .ci/install installs it")
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = filepath.Join("..", "..", "docs", "monitoring")
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %q: %v\n%s", args, err, out)
	}
}

// TestPrometheusTakesTheMetrics: names, types and help texts follow Prometheus's rules.
func TestPrometheusTakesTheMetrics(t *testing.T) {
	_, page := metricsServer(t, true)
	text, _ := page("/metrics")
	promtool(t, text, "check", "metrics")
}

// TestAlertsFire checks that each rule fires when it should, and that no rule fires on a healthy
// server.
func TestAlertsFire(t *testing.T) {
	promtool(t, "", "check", "rules", "alerts.yml")
	promtool(t, "", "test", "rules", "alerts_test.yml", "alerts_week_test.yml")
}

// TestAnIndexHasANumber: an administrator sees a different number for each index. A principal
// that may only read sees none.
func TestAnIndexHasANumber(t *testing.T) {
	s, _ := metricsServer(t, false)
	c := s.admin()
	numbers := func(c *client.Client) (list []uint64) {
		status, err := c.Status(t.Context())
		testutil.Must(t, err)
		for _, x := range status.Indexes {
			list = append(list, uint64(x.Number))
		}
		return list
	}
	if got := numbers(c); !slices.Equal(got, []uint64{1}) {
		t.Errorf("an administrator sees the numbers %v; want different ones above 0", got)
	}
	if got := numbers(s.person(c, "reader", "secretive", model.RightRead)); !slices.Equal(got, []uint64{0}) {
		t.Errorf("a principal that may only read sees the numbers %v; want none", got)
	}
}

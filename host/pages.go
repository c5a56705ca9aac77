package host

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// serveReady answers /readyz: a line for each condition.
func (h *host) serveReady(w http.ResponseWriter, _ *http.Request) {
	list := h.conditions(time.Now())
	var text strings.Builder
	for _, c := range list {
		fmt.Fprintf(&text, "%s: %s\n", c.name, cmp.Or(c.why, aliveAndWell))
	}
	answer(w, len(broken(list)) == 0, text.String())
}

// serveLive answers /livez.
func (h *host) serveLive(w http.ResponseWriter, _ *http.Request) {
	text, live := aliveAndWell, h.health.live()
	if !live {
		text = coreIsHung
	}
	answer(w, live, text+"\n")
}

// answer answers a request for /readyz or /livez. The status code tells programs the answer.
func answer(w http.ResponseWriter, good bool, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if !good {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write([]byte(text)) // the client may have closed the connection
}

var ready = desc("ready", "Whether a condition of readiness holds.", "condition")

// readiness shows the conditions to Prometheus.
type readiness struct{ h *host }

// Describe implements prometheus.Collector.
func (r readiness) Describe(ch chan<- *prometheus.Desc) { ch <- ready }

// Collect implements prometheus.Collector.
func (r readiness) Collect(ch chan<- prometheus.Metric) {
	for _, c := range r.h.conditions(time.Now()) {
		holds := 0.0
		if c.why == "" {
			holds = 1
		}
		ch <- prometheus.MustNewConstMetric(ready, prometheus.GaugeValue, holds, c.name)
	}
}

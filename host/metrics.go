package host

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"motte/client"
	"motte/client/frames"
	"motte/core/control"
	"motte/core/wire"
)

// metrics shows the Core's counters to Prometheus, and whether it is up. They
// count requests; nothing in them depends on content.
type metrics struct {
	mu          sync.Mutex
	stats       control.Stats
	server      frames.StatusItem
	serving     bool
	starts      uint64
	taskStarts  uint64
	quarantines uint64
	slow        uint64

	hasAnchor      bool
	anchorLSN      uint64
	anchorFailures uint64
}

func (m *metrics) up() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serving = true
	m.starts++
}

func (m *metrics) down() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serving = false
}

// saw counts what the Core asks for and tells of.
func (m *metrics) saw(msg control.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case msg.Type == control.StartTask:
		m.taskStarts++
	case msg.Type == control.Event && msg.Reason == wire.ReasonTooSlow:
		m.slow++
	case msg.Type == control.Event && msg.Reason <= wire.ReasonTaskEnded:
		m.quarantines++ // the reasons above are the disk's
	}
}

// anchored notes what the anchor now holds.
func (m *metrics) anchored(lsn uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hasAnchor, m.anchorLSN = true, lsn
}

func (m *metrics) anchorFailed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.anchorFailures++
}

func (m *metrics) set(values []uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(values) < len(m.stats) {
		return
	}
	server, err := frames.Server(values[len(m.stats):])
	if err == nil {
		m.stats, m.server = control.Stats(values[:len(m.stats)]), server
	}
}

// serveMetrics serves /metrics, /readyz and /livez, if an address is configured.
func (h *host) serveMetrics() (stop func() error, err error) {
	if h.Metrics == "" {
		return func() error { return nil }, nil
	}
	l, err := net.Listen("tcp", h.Metrics)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics: %w", err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(&h.metrics, readiness{h})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", h.serveLive)
	mux.HandleFunc("GET /readyz", h.serveReady)
	mux.HandleFunc("GET /healthz", h.serveReady) // its name in earlier versions
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	h.log.Info("metrics", "address", l.Addr().String())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			return err
		}
		<-ended
		return nil
	}, nil
}

var (
	up          = desc("up", "Whether the Core is serving.")
	starts      = desc("core_starts_total", "How often a Core became ready.")
	requests    = desc("requests_total", "Requests answered.", "operation", "code")
	latency     = desc("request_duration_seconds", "From a request's header to the last frame of its answer.", "operation")
	commits     = desc("commit_duration_seconds", "One group commit: seal, write and sync.")
	records     = desc("committed_records_total", "Records made durable.")
	logBytes    = desc("log_bytes", "Size of the sealed log.")
	diskBytes   = desc("disk_bytes", "What all files of the data directory take of the disk.")
	objects     = desc("objects", "Objects in the store.")
	connections = desc("connections", "Open connections of clients.")
	refusals    = desc("connections_refused_total", "Connections refused: strangers, over the limit, or a failed handshake.")
	taskStarts  = desc("task_starts_total", "Processes of Tasks asked for.")
	quarantines = desc("quarantines_total", "Tasks quarantined.")
	slowTasks   = desc("slow_tasks_total", "Tasks ended because they were too slow.")
	scrubBytes  = desc("scrub_bytes_total", "Bytes of live records that the scrub read and checked.")
	scrubPasses = desc("scrub_passes_total", "Passes of the scrub over the whole store.")
	scrubBad    = desc("scrub_damaged_total", "Records that the scrub found damaged.")
	anchorLSN   = desc("anchor_lsn", "Number of the log's last record that the anchor remembers.")
	anchorFails = desc("anchor_failures_total", "Writes of the anchor that failed.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("motte_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	s, serving, started, tasks, broken, slow := m.stats, m.serving, m.starts, m.taskStarts, m.quarantines, m.slow
	server := m.server
	hasAnchor, remembered, failures := m.hasAnchor, m.anchorLSN, m.anchorFailures
	m.mu.Unlock()
	value := func(d *prometheus.Desc, kind prometheus.ValueType, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, float64(v), labels...)
	}
	var isUp uint64
	if serving {
		isUp = 1
	}
	value(up, prometheus.GaugeValue, isUp)
	value(starts, prometheus.CounterValue, started)
	value(records, prometheus.CounterValue, s[control.Synced])
	value(logBytes, prometheus.GaugeValue, server.LogBytes)
	value(diskBytes, prometheus.GaugeValue, server.DiskBytes)
	value(objects, prometheus.GaugeValue, server.Objects)
	value(connections, prometheus.GaugeValue, server.Connections)
	value(refusals, prometheus.CounterValue, s[control.Refused])
	value(scrubBytes, prometheus.CounterValue, server.ScrubbedBytes)
	value(scrubPasses, prometheus.CounterValue, server.ScrubPasses)
	value(scrubBad, prometheus.CounterValue, server.ScrubDamaged)
	value(taskStarts, prometheus.CounterValue, tasks)
	value(quarantines, prometheus.CounterValue, broken)
	value(slowTasks, prometheus.CounterValue, slow)
	if hasAnchor {
		value(anchorLSN, prometheus.GaugeValue, remembered)
		value(anchorFails, prometheus.CounterValue, failures)
	}
	histogram(ch, commits, s[control.SyncLatency:control.SyncLatency+control.Buckets], s[control.SyncMicros])
	for op := range control.MaxOp {
		first := control.Latency(op, 0)
		histogram(ch, latency, s[first:first+control.Buckets], s[control.Micros(op)], client.OperationName(wire.Operation(op)))
		for code := range control.MaxCode {
			if n := s[control.Requests(op, code)]; n > 0 {
				value(requests, prometheus.CounterValue, n, client.OperationName(wire.Operation(op)), client.CodeName(wire.Code(code)))
			}
		}
	}
}

// histogram sends a histogram that has anything in it.
func histogram(ch chan<- prometheus.Metric, d *prometheus.Desc, counts []uint64, micros uint64, labels ...string) {
	total, buckets := uint64(0), make(map[float64]uint64)
	limit := 16 * time.Microsecond
	for i, n := range counts {
		total += n
		if i < len(counts)-1 {
			buckets[limit.Seconds()] = total
			limit *= 2
		}
	}
	if total > 0 {
		ch <- prometheus.MustNewConstHistogram(d, total, float64(micros)/1e6, buckets, labels...)
	}
}

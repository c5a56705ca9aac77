package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"motte/core/hostwire"
	"motte/core/model"
	"motte/internal/build"
)

// metrics shows to Prometheus the Core's counters, and whether the Core is up. The counters count
// requests, and do not depend on content. indexes.go describes the metrics of an index.
type metrics struct {
	space space

	mu         sync.Mutex
	stats      hostwire.Stats
	server     model.ServerStatus
	lsn        uint64 // of the log's last record
	core       coreProcess
	serving    bool
	starts     uint64
	taskStarts uint64
	alerts     [model.LastReason + 1]uint64 // by reason

	coming  []hostwire.Index // the indexes' messages since the last counters
	indexes map[uint64]standing
	began   map[uint64]time.Time // when the Core asked for an instance, until the instance serves
	names   map[uint64]indexName // empty unless the operator asks for names
	unnamed chan struct{}        // has a token when a name is missing; nil: the operator asks for no names

	hasAnchor      bool
	anchorLSN      uint64
	anchorFailures uint64
}

// coreProcess is the process of the Core.
type coreProcess struct {
	pid   int // 0: no Core runs
	built build.Info
	began time.Time
	start time.Duration // from the Core's start until clients could connect; of the last Core that became ready
}

// started notes a new process of the Core.
func (m *metrics) started(pid int, built build.Info) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.core.pid, m.core.built, m.core.began = pid, built, time.Now()
}

func (m *metrics) up() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serving = true
	m.starts++
	m.core.start = time.Since(m.core.began)
}

func (m *metrics) down() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serving, m.core.pid = false, 0
	m.indexes, m.coming, m.began = nil, nil, nil
}

// saw counts a message of the Core.
func (m *metrics) saw(message hostwire.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch msg := message.(type) {
	case hostwire.StartTask:
		m.taskStarts++
		if m.began == nil {
			m.began = make(map[uint64]time.Time)
		}
		m.began[msg.Instance] = time.Now()
	case hostwire.Index:
		m.coming = append(m.coming, msg) // set shows it with the next counters
	case hostwire.Anchor:
		m.lsn = msg.Head.LSN
	case hostwire.Event:
		if msg.Reason <= model.LastReason {
			m.alerts[msg.Reason]++
		}
	}
}

// name takes the names of all indexes.
func (m *metrics) name(names map[uint64]indexName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.names = names
}

// corePID returns the process number of the Core, for the process metrics.
func (m *metrics) corePID() (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.core.pid == 0 {
		return 0, errors.New("no Core runs")
	}
	return m.core.pid, nil
}

// anchored notes the LSN of the head that the anchor now holds.
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

// set takes the Core's counters.
func (m *metrics) set(c hostwire.Counters, resident func(index uint64) (bytes, limit uint64)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle(time.Now(), resident)
	if c.Stats != nil {
		m.stats, m.server = *c.Stats, *c.Server
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
	registry.MustRegister(&h.metrics, readiness{h}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{Namespace: "motte_core", PidFn: h.metrics.corePID}))
	watching, done := context.WithCancel(context.Background())
	go h.metrics.space.watch(watching, h.Dir)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", h.serveLive)
	mux.HandleFunc("GET /readyz", h.serveReady)
	mux.HandleFunc("GET /healthz", h.serveReady) // the path of /readyz in earlier versions
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	h.log.Info("metrics", "address", l.Addr().String())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	return func() error {
		done() // without a wait for the goroutine: the file system may not answer
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			return err
		}
		<-ended
		return nil
	}, nil
}

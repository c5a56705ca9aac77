package host

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"motte/client"
	"motte/core/hostwire"
	"motte/core/model"
	"motte/internal/build"
)

var (
	up          = desc("up", "Whether the Core is serving.")
	buildInfo   = desc("build_info", "What runs, of which version and commit.", "part", "version", "commit")
	readOnly    = desc("read_only", "Whether the disk refused a write, so that the Core only reads.")
	diskFull    = desc("disk_full", "Whether the disk is full but for the reserve, so that requests which grow the store are refused.")
	starts      = desc("core_starts_total", "How often a Core became ready.")
	startTime   = desc("core_start_seconds", "How long the last start of a Core took until clients could connect.")
	requests    = desc("requests_total", "Requests answered.", "operation", "code")
	latency     = desc("request_duration_seconds", "From a request's header to the last frame of its answer.", "operation")
	commits     = desc("commit_duration_seconds", "One group commit: seal, write and sync.")
	records     = desc("committed_records_total", "Records made durable.")
	logLSN      = desc("log_lsn", "Number of the log's last record.")
	logBytes    = desc("log_bytes", "Size of the sealed log.")
	liveBytes   = desc("live_bytes", "Size of the log's live records.")
	segments    = desc("segments", "Segments of the log.")
	diskBytes   = desc("disk_bytes", "What all files of the data directory take of the disk.")
	diskFree    = desc("disk_free_bytes", "What the file system of the data directory has left.")
	diskSize    = desc("disk_size_bytes", "Size of the file system of the data directory.")
	objects     = desc("objects", "Objects in the store.")
	connections = desc("connections", "Open connections of clients.")
	refusals    = desc("connections_refused_total", "Connections refused: strangers, over the limit, or a failed handshake.")
	alerts      = desc("alerts_total", "Alerts raised.", "reason")
	taskStarts  = desc("task_starts_total", "Processes of Tasks asked for.")
	quarantines = desc("quarantines_total", "Tasks quarantined.")
	slowTasks   = desc("slow_tasks_total", "Tasks ended because they were too slow.")

	checkpointBytes = desc("checkpoint_bytes", "Size of the newest checkpoint.")
	checkpointLSN   = desc("checkpoint_lsn", "Number of the last record before the newest checkpoint, if it was written since the Core's start.")
	checkpointTime  = desc("checkpoint_timestamp_seconds", "When the newest checkpoint was written, if that was since the Core's start.")
	movedBytes      = desc("compaction_moved_bytes_total", "Bytes of live records that compaction moved.")
	freedBytes      = desc("compaction_freed_bytes_total", "Bytes of dead records that compaction gave back.")

	scrubRecords = desc("scrub_records_total", "Live records that the scrub read and checked.")
	scrubBytes   = desc("scrub_bytes_total", "Bytes of live records that the scrub read and checked.")
	scrubPasses  = desc("scrub_passes_total", "Passes of the scrub over the whole store.")
	scrubBad     = desc("scrub_damaged_total", "Records that the scrub found damaged.")
	scrubTime    = desc("scrub_pass_timestamp_seconds", "When the last pass of the scrub ended, if that was since the Core's start.")

	indexState    = desc("index_state", "Whether an index is in this state.", "index", "state")
	indexRestarts = desc("index_restarts_total", "How often the Task of an index was started again because of what it did.", "index")
	indexQueue    = desc("index_queue", "Changes and questions that an index has not confirmed or answered, rounded up to a power of four.", "index")
	indexMemory   = desc("index_memory_bytes", "Memory of an index's processes, rounded up to a sixteenth of their limit. An index that is being upgraded has two.", "index")
	indexLimit    = desc("index_memory_limit_bytes", "Memory that an index's processes may take.", "index")
	indexStart    = desc("index_start_seconds", "From the last start of an index's Task until it served, rounded up to a power of two.", "index")
	indexInfo     = desc("index_info", "What an index is called.", "index", "collection", "name")

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
	out := sink(ch)
	if free, size, ok := m.space.get(); ok {
		out.gauge(diskFree, free)
		out.gauge(diskSize, size)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.collectCore(out)
	m.collectStorage(out)
	m.collectAlerts(out)
	for number, x := range m.indexes {
		m.collectIndex(out, number, x)
	}
	m.collectRequests(out)
	if m.hasAnchor {
		out.gauge(anchorLSN, m.anchorLSN)
		out.counter(anchorFails, m.anchorFailures)
	}
}

func (m *metrics) collectCore(out sink) {
	if self, err := build.Self(); err == nil {
		out.gauge(buildInfo, 1, "motte", self.Version, self.Commit)
	}
	if core := m.core; core.pid != 0 {
		out.gauge(buildInfo, 1, "motte-core", core.built.Version, core.built.Commit)
	}
	out.gauge(up, flag(m.serving))
	out.counter(starts, m.starts)
	if m.starts > 0 {
		out.seconds(startTime, m.core.start)
	}
	out.gauge(readOnly, flag(m.server.Flags&model.ServerReadOnly != 0))
	out.gauge(diskFull, flag(m.server.Flags&model.ServerDiskFull != 0))
	out.gauge(objects, m.server.Objects)
	out.gauge(connections, m.server.Connections)
	out.counter(refusals, m.stats.Refused)
	out.counter(records, m.stats.Synced)
}

func (m *metrics) collectStorage(out sink) {
	s := &m.server
	out.gauge(logLSN, m.lsn)
	out.gauge(logBytes, s.LogBytes)
	out.gauge(liveBytes, s.LiveBytes)
	out.gauge(segments, s.Segments)
	out.gauge(diskBytes, s.DiskBytes)
	out.gauge(checkpointBytes, s.CheckpointBytes)
	if s.CheckpointTime > 0 {
		out.gauge(checkpointLSN, s.CheckpointLSN)
		out.gauge(checkpointTime, s.CheckpointTime)
	}
	out.counter(movedBytes, s.MovedBytes)
	out.counter(freedBytes, s.FreedBytes)
	out.counter(scrubRecords, s.ScrubbedRecords)
	out.counter(scrubBytes, s.ScrubbedBytes)
	out.counter(scrubPasses, s.ScrubPasses)
	out.counter(scrubBad, s.ScrubDamaged)
	if s.ScrubTime > 0 {
		out.gauge(scrubTime, s.ScrubTime)
	}
}

// collectAlerts shows each reason, also with a count of 0. So an alerting rule sees the first
// alert.
func (m *metrics) collectAlerts(out sink) {
	broken := uint64(0)
	for reason := model.ReasonInvalidIdentity; reason <= model.LastReason; reason++ {
		n := m.alerts[reason]
		out.counter(alerts, n, client.ReasonName(reason))
		if reason <= model.ReasonTaskEnded && reason != model.ReasonTooSlow { // the reasons above are the disk's
			broken += n
		}
	}
	out.counter(taskStarts, m.taskStarts)
	out.counter(quarantines, broken)
	out.counter(slowTasks, m.alerts[model.ReasonTooSlow])
}

func (m *metrics) collectIndex(out sink, number uint64, x standing) {
	index := strconv.FormatUint(number, 10)
	for state := model.IndexStarting; state <= model.IndexParked; state++ {
		out.gauge(indexState, flag(x.state == state), index, client.StateName(state))
	}
	out.counter(indexRestarts, x.restarts, index)
	out.gauge(indexQueue, x.queue, index)
	out.gauge(indexMemory, x.memory, index)
	if x.limit > 0 {
		out.gauge(indexLimit, x.limit, index)
	}
	if x.start > 0 {
		out.seconds(indexStart, x.start, index)
	}
	if name, ok := m.names[number]; ok {
		out.gauge(indexInfo, 1, index, name.collection, name.index)
	}
}

func (m *metrics) collectRequests(out sink) {
	out.histogram(commits, &m.stats.Commits)
	for op := range m.stats.Requests {
		name := client.OperationName(model.Operation(op))
		out.histogram(latency, &m.stats.Latency[op], name)
		for code, n := range m.stats.Requests[op] {
			if n > 0 {
				out.counter(requests, n, name, client.CodeName(model.Code(code)))
			}
		}
	}
}

func flag(is bool) uint64 {
	if is {
		return 1
	}
	return 0
}

// sink takes metrics.
type sink chan<- prometheus.Metric

func (s sink) gauge(d *prometheus.Desc, v uint64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
}

func (s sink) counter(d *prometheus.Desc, v uint64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func (s sink) seconds(d *prometheus.Desc, v time.Duration, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v.Seconds(), labels...)
}

// histogram sends a histogram that is not empty.
func (s sink) histogram(d *prometheus.Desc, h *hostwire.Histogram, labels ...string) {
	total, buckets := uint64(0), make(map[float64]uint64)
	limit := 16 * time.Microsecond
	for i, n := range h.Counts {
		total += n
		if i < len(h.Counts)-1 {
			buckets[limit.Seconds()] = total
			limit *= 2
		}
	}
	if total > 0 {
		s <- prometheus.MustNewConstHistogram(d, total, float64(h.Micros)/1e6, buckets, labels...)
	}
}

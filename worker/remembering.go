package main

import (
	"slices"
	"sync"

	"go.temporal.io/sdk/client"
)

// remembering caches what the SDK asks for with every task: handlers by their tags, and instruments by their names. OpenTelemetry
// would create each of them again, which was a tenth of all memory that a worker allocated in a mass rotation. There are few tags:
// they name task queues, types and operations.
type remembering struct {
	client.MetricsHandler
	tagged   memory[client.MetricsHandler]
	counters memory[client.MetricsCounter]
	gauges   memory[client.MetricsGauge]
	timers   memory[client.MetricsTimer]
}

func (r *remembering) WithTags(tags map[string]string) client.MetricsHandler {
	names := make([]string, 0, 8)
	for name := range tags {
		names = append(names, name)
	}
	slices.Sort(names)
	key := make([]byte, 0, 256)
	for _, name := range names {
		key = append(append(append(append(key, name...), 0), tags[name]...), 0)
	}
	return r.tagged.get(string(key), func(string) client.MetricsHandler {
		return &remembering{MetricsHandler: r.MetricsHandler.WithTags(tags)}
	})
}

func (r *remembering) Counter(name string) client.MetricsCounter {
	return r.counters.get(name, r.MetricsHandler.Counter)
}

func (r *remembering) Gauge(name string) client.MetricsGauge {
	return r.gauges.get(name, r.MetricsHandler.Gauge)
}

func (r *remembering) Timer(name string) client.MetricsTimer {
	return r.timers.get(name, r.MetricsHandler.Timer)
}

// memory is a cache.
type memory[T any] struct {
	mu   sync.RWMutex
	made map[string]T
}

func (m *memory[T]) get(key string, build func(string) T) T {
	m.mu.RLock()
	v, ok := m.made[key]
	m.mu.RUnlock()
	if ok {
		return v
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok = m.made[key]; !ok {
		if m.made == nil {
			m.made = map[string]T{}
		}
		v = build(key)
		m.made[key] = v
	}
	return v
}

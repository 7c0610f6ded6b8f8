// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"fmt"
	"math"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// MaxPerSecond is the highest rate [PerSecond] accepts; it keeps one instant per
// sampled trace of the last second.
const MaxPerSecond = 100_000

type perSecond struct {
	description string
	window      time.Duration
	start       time.Time

	mu      sync.Mutex
	sampled []time.Duration // instants since start of the last samples, a ring
	oldest  int
	count   int
}

// PerSecond samples at most n traces in any one second, the first that come. It
// is exact at every second, not on average: no burst follows a quiet time. A
// fraction stretches the window, so 0.1 is at most one trace in any ten seconds
// and 2.5 at most three in any 1.2 seconds.
//
// It counts every span it is asked about: put it inside [ParentBased], which
// asks once per trace. n must be above 0 and at most [MaxPerSecond]. The sampler
// is safe for concurrent use and counts per process.
func PerSecond(n float64) (sdktrace.Sampler, error) {
	if !(n > 0 && n <= MaxPerSecond) {
		return nil, fmt.Errorf("sampler: PerSecond: n is %v, must be above 0 and at most %d", n, MaxPerSecond)
	}
	slots := math.Ceil(n)
	window := slots / n * float64(time.Second)
	if window > math.MaxInt64/2 {
		return nil, fmt.Errorf("sampler: PerSecond: n is %v, less than one trace in a hundred years", n)
	}
	return &perSecond{
		description: fmt.Sprintf("PerSecond{%g}", n),
		window:      time.Duration(window),
		start:       time.Now(),
		sampled:     make([]time.Duration, int(slots)),
	}, nil
}

func (s *perSecond) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	result := sdktrace.SamplingResult{Tracestate: trace.SpanContextFromContext(p.ParentContext).TraceState()}
	if s.take(time.Since(s.start)) {
		result.Decision = sdktrace.RecordAndSample
	}
	return result
}

func (s *perSecond) Description() string { return s.description }

// take reports whether one more sample fits into the window that ends now.
func (s *perSecond) take(now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count < len(s.sampled) {
		s.sampled[s.count] = now
		s.count++
		return true
	}
	if now-s.sampled[s.oldest] < s.window {
		return false
	}
	s.sampled[s.oldest] = now
	s.oldest = (s.oldest + 1) % len(s.sampled)
	return true
}

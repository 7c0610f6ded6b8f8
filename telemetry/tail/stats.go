// SPDX-License-Identifier: Apache-2.0

package tail

// counters are guarded by the processor's lock.
type counters struct {
	kept        [reasons]uint64
	dropped     uint64
	early       uint64
	revived     uint64
	overLimit   uint64
	lateDropped uint64
}

// Stats counts what a [Processor] did since it was made. Traces whose spans were
// all sampled by the head pass uncounted.
type Stats struct {
	// Traces kept, by the first reason found.
	Forced, Rule, Error, Slow, Ratio uint64
	// Head counts traces with both sampled and unsampled spans, kept whole.
	Head uint64
	// Dropped counts traces without any reason.
	Dropped uint64
	// Early counts traces decided before their last span had ended, because of
	// the age or of a bound. They count in the fields above as well.
	Early uint64
	// Revived counts traces of which a late span, with a reason of its own, was
	// kept after the others had been dropped.
	Revived uint64
	// SpansOverLimit counts spans dropped because their trace held the most it may.
	SpansOverLimit uint64
	// SpansLate counts spans dropped after the decision about their trace.
	SpansLate uint64
	// Traces and Spans are held at the moment.
	Traces, Spans int
}

// Stats returns the current numbers.
func (p *Processor) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{
		Forced:         p.stats.kept[reasonForced],
		Rule:           p.stats.kept[reasonRule],
		Error:          p.stats.kept[reasonError],
		Slow:           p.stats.kept[reasonSlow],
		Ratio:          p.stats.kept[reasonRatio],
		Head:           p.stats.kept[reasonHead],
		Dropped:        p.stats.dropped,
		Early:          p.stats.early,
		Revived:        p.stats.revived,
		SpansOverLimit: p.stats.overLimit,
		SpansLate:      p.stats.lateDropped,
		Traces:         len(p.traces),
		Spans:          p.held,
	}
}

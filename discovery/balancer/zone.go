// SPDX-License-Identifier: Apache-2.0

package balancer

// zones adds up what there is where.
type zones struct {
	own       string
	near, all float64 // weights
	seen      map[string]bool
}

// add counts an endpoint, and reports whether it is near: in the zone that is preferred, or
// anywhere, if none is.
func (z *zones) add(zone string, weight float64) bool {
	if z.own == "" {
		z.near += weight
		z.all += weight
		return true
	}
	if z.seen == nil {
		z.seen = map[string]bool{z.own: true}
	}
	z.seen[zone] = true
	z.all += weight
	if zone == z.own {
		z.near += weight
		return true
	}
	return false
}

// share returns which share of the calls, 0 to 1, is for those that are near.
//
// Callers are taken to be spread evenly over the zones that have endpoints, and this
// one's. A zone with its share of the weight can then take its own callers' calls; with
// less, it takes as much less, by a factor for how far above its share it may go.
func (z *zones) share(overprovision float64) float64 {
	switch z.near {
	case 0:
		return 0
	case z.all:
		return 1
	}
	return min(1, overprovision*z.near/z.all*float64(len(z.seen)))
}

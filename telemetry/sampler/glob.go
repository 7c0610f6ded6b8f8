// SPDX-License-Identifier: Apache-2.0

package sampler

// glob reports whether s matches pattern, in which * stands for any run of
// bytes. It goes back to the last * only, so its time is bounded by the product
// of both lengths whatever a peer puts into s.
func glob(pattern, s string) bool {
	p, i := 0, 0
	star, mark := -1, 0 // the last * seen, and where in s its run may end next
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

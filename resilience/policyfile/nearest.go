// SPDX-License-Identifier: Apache-2.0

package policyfile

// nearest returns the one of known that key may have been meant to be, or nothing.
func nearest(key string, known []string) string {
	best, least := "", 3
	if len(key) > 64 {
		return ""
	}
	for _, k := range known {
		if d := distance(key, k); d < least && d < len(k)-1 {
			best, least = k, d
		}
	}
	return best
}

// distance returns how many bytes have to be put in, taken out, changed or exchanged
// with their neighbours to make b of a.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			row[j+1] = min(last[j+1], row[j]) + 1
			if a[i] == b[j] {
				row[j+1] = min(row[j+1], last[j])
			} else {
				row[j+1] = min(row[j+1], last[j]+1)
			}
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

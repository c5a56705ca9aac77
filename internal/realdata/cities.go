package realdata

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// City is an object of [Cities]. Names are not unique, also not within a country.
type City struct {
	Name    string      `json:"name"`
	Country string      `json:"country"` // ISO 3166-1 alpha-2
	Lat     json.Number `json:"lat"`     // degrees north, as written in the source
	Lng     json.Number `json:"lng"`     // degrees east
}

// readCities reads the file of the npm package. There, the coordinates are strings.
func readCities(file string) ([][]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []City
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	slices.SortStableFunc(all, func(a, b City) int {
		return cmp.Or(cmp.Compare(a.Country, b.Country), cmp.Compare(a.Name, b.Name))
	})
	objects := make([][]byte, len(all))
	for i, c := range all {
		objects[i], err = encode(c)
		if err != nil {
			return nil, fmt.Errorf("%s: city %d, %s: %w", file, i, c.Name, err)
		}
	}
	return objects, nil
}

package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"motte/client"
)

// places is the collection of the map: the principal place of each time zone.
const places = "zones"

// zoneTable is a part of the time zone database, which is in the public domain: countries,
// coordinates, and the name of the zone.
//
//go:embed zone1970.tab
var zoneTable string

// zone is a place; its JSON is an object of the demo.
type zone struct {
	Zone    string  `json:"zone"`
	Country string  `json:"country"`
	Lat     float64 `json:"lat"`
	Lng     float64 `json:"lng"`
}

// zones reads the table.
func zones() (list []zone, err error) {
	for line := range strings.Lines(zoneTable) {
		column := strings.Split(strings.TrimSpace(line), "\t")
		if len(column) != 3 {
			return nil, fmt.Errorf("zone1970.tab: the line %q has %d columns", line, len(column))
		}
		half := 1 + strings.IndexAny(column[1][1:], "+-")
		lat, err := degrees(column[1][:half], 2)
		if err != nil {
			return nil, err
		}
		lng, err := degrees(column[1][half:], 3)
		if err != nil {
			return nil, err
		}
		list = append(list, zone{column[2], column[0][:2], lat, lng})
	}
	return list, nil
}

// degrees reads a sign, whole degrees of so many digits, minutes, and perhaps seconds.
func degrees(text string, digits int) (float64, error) {
	n, err := strconv.Atoi(text[1:])
	if err != nil {
		return 0, fmt.Errorf("zone1970.tab: coordinate %q: %w", text, err)
	}
	seconds := 0
	if len(text) == 1+digits+4 {
		n, seconds = n/100, n%100
	}
	value := float64(n/100) + float64(n%100)/60 + float64(seconds)/3600
	if text[0] == '-' {
		value = -value
	}
	return value, nil
}

// kilometres is the distance of two places on a sphere.
func (z zone) kilometres(lat, lng float64) float64 {
	const radius, rad = 6371.0, math.Pi / 180
	h := haversine((z.Lat-lat)*rad) + math.Cos(z.Lat*rad)*math.Cos(lat*rad)*haversine((z.Lng-lng)*rad)
	return 2 * radius * math.Asin(math.Sqrt(h))
}

func haversine(angle float64) float64 { return math.Pow(math.Sin(angle/2), 2) }

// onTheMap asks an index of places, and combines it with another.
func (d *demo) onTheMap(ctx context.Context) error {
	list, err := zones()
	if err != nil {
		return err
	}
	if err := d.putZones(ctx, list); err != nil {
		return err
	}
	const lat, lng, most = 45.76, 4.84, 5 // Lyon
	d.say("%d places, the principal ones of the world's time zones, are in a second collection. Which are nearest to Lyon, "+
		"and not in Africa?", len(list))
	d.gap()
	d.row(`"at: nearest %v %v" AND NOT "zone: prefix \"Africa/\""`, lat, lng)
	d.gap()
	slices.SortFunc(list, func(a, b zone) int { return int(math.Copysign(1, a.kilometres(lat, lng)-b.kilometres(lat, lng))) })
	list = slices.DeleteFunc(list, func(z zone) bool { return strings.HasPrefix(z.Zone, "Africa/") })
	i := 0
	for o, err := range d.admin.Search(ctx, client.Query{Collection: places, OrderBy: "at", Limit: most, Where: client.And(
		client.Leaf("at", fmt.Sprintf("nearest %v %v", lat, lng)),
		client.Not(client.Leaf("zone", `prefix "Africa/"`)),
	)}) {
		if err != nil {
			return err
		}
		d.row("%-30s %5.0f km", o.Name, list[i].kilometres(lat, lng))
		if err := check(o.Name == list[i].Zone, "number %d is %s; want %s", i+1, o.Name, list[i].Zone); err != nil {
			return err
		}
		i++
	}
	return check(i == most, "found %d places, want %d", i, most)
}

// putZones makes the collection of the map, and its indexes.
func (d *demo) putZones(ctx context.Context, list []zone) error {
	if err := d.admin.CreateCollection(ctx, places); err != nil {
		return err
	}
	var b client.Batch
	for _, z := range list {
		data, err := json.Marshal(z)
		if err != nil {
			return err
		}
		b.Put(data, client.Name(z.Zone))
	}
	if _, err := d.admin.PutBatch(ctx, places, &b); err != nil {
		return err
	}
	for name, x := range map[string]client.Index{
		"at":   {Task: "geo", Ordered: true, Config: []byte(`{"lat":"/lat","lng":"/lng"}`)},
		"zone": {Task: "ordered", Config: []byte(`{"path":"/zone","type":"string"}`)},
	} {
		if err := d.admin.CreateIndex(ctx, places, name, x); err != nil {
			return fmt.Errorf("index %s: %w", name, err)
		}
		if err := d.servingIn(ctx, places, name, len(list)); err != nil {
			return err
		}
	}
	return nil
}

package llmsim

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	emailPattern   = regexp.MustCompile(`[\w.+-]+@[\w-]+(\.[\w-]+)+`)
	urlPattern     = regexp.MustCompile(`https?://[^\s"'<>]+`)
	isoPattern     = regexp.MustCompile(`\b\d{4}-\d{2}-\d{2}\b`)
	timePattern    = regexp.MustCompile(`\b([01]?\d|2[0-3]):([0-5]\d)\b`)
	hourPattern    = regexp.MustCompile(`(?i)\b(1[0-2]|[1-9])\s?(am|pm)\b`)
	idPattern      = regexp.MustCompile(`\b[A-Za-z][A-Za-z]*[-_#]?[A-Za-z_-]*\d[\w-]*\b`)
	numberPattern  = regexp.MustCompile(`(?:^|[\s$€£(])(\d+(?:[.,]\d{3})*(?:\.\d+)?)(?:[\s%€$£),.!?]|$)`)
	sumPattern     = regexp.MustCompile(`\d+(?:\.\d+)?(?:\s*[-+*/x×÷^]\s*\(?\s*\d+(?:\.\d+)?\s*\)?)+`)
	namePattern    = regexp.MustCompile(`(?i)\b(?:my name is|i am called|this is)\s+([\p{L}'-]+(?:\s+\p{Lu}[\p{L}'-]+)?)`)
	weekdayPattern = regexp.MustCompile(`(?i)\b(mon|tues|wednes|thurs|fri|satur|sun)day\b`)
)

// values are what a text says in forms that arguments take.
type values struct {
	emails, urls, ids, times []string
	dates                    []time.Time
	numbers                  []float64
	sum, name, weekday       string
}

// valuesOf reads a text; relative dates count from now.
func valuesOf(text string, now time.Time) values {
	found := values{
		emails: emailPattern.FindAllString(text, -1),
		urls:   urlPattern.FindAllString(text, -1),
		dates:  dates(text, now),
		times:  times(text),
		sum:    sumPattern.FindString(text),
	}

	if match := namePattern.FindStringSubmatch(text); match != nil {
		found.name = match[1]
	}

	found.weekday = strings.ToLower(weekdayPattern.FindString(text))
	rest := emailPattern.ReplaceAllString(text, " ")
	rest = urlPattern.ReplaceAllString(rest, " ")
	found.ids = idPattern.FindAllString(hourPattern.ReplaceAllString(rest, " "), -1)
	rest = isoPattern.ReplaceAllString(idPattern.ReplaceAllString(rest, " "), " ")
	rest = timePattern.ReplaceAllString(rest, " ")

	for _, match := range numberPattern.FindAllStringSubmatch(rest, -1) {
		if number, err := strconv.ParseFloat(strings.ReplaceAll(match[1], ",", ""), 64); err == nil {
			found.numbers = append(found.numbers, number)
		}
	}

	return found
}

func dates(text string, now time.Time) []time.Time {
	found := []time.Time{}

	for _, match := range isoPattern.FindAllString(text, -1) {
		if date, err := time.Parse(time.DateOnly, match); err == nil {
			found = append(found, date)
		}
	}

	lower := strings.ToLower(text)
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)

	if strings.Contains(lower, "tomorrow") {
		found = append(found, today.AddDate(0, 0, 1))
	} else if strings.Contains(lower, "today") {
		found = append(found, today)
	}

	for _, match := range weekdayPattern.FindAllString(lower, -1) {
		for ahead := 1; ahead <= 7; ahead++ {
			if day := today.AddDate(0, 0, ahead); strings.EqualFold(day.Weekday().String(), match) {
				found = append(found, day)
			}
		}
	}

	return found
}

// times are hours of the day as 15:04.
func times(text string) []string {
	clocks, hours := timePattern.FindAllStringSubmatch(text, -1), hourPattern.FindAllStringSubmatch(text, -1)
	found := make([]string, 0, len(clocks)+len(hours))

	for _, match := range clocks {
		hour, _ := strconv.Atoi(match[1]) // the pattern has digits only
		found = append(found, time.Date(0, 1, 1, hour, 0, 0, 0, time.UTC).Format("15:")+match[2])
	}

	for _, match := range hours {
		hour, _ := strconv.Atoi(match[1])
		if hour %= 12; strings.EqualFold(match[2], "pm") {
			hour += 12
		}

		found = append(found, time.Date(0, 1, 1, hour, 0, 0, 0, time.UTC).Format("15:04"))
	}

	return found
}

// today finds the date that a system prompt gives; otherwise it is now.
func today(prompt string, now time.Time) time.Time {
	at := strings.Index(strings.ToLower(prompt), "today")
	if at < 0 || at > len(prompt) {
		return now
	}

	line, _, _ := strings.Cut(prompt[at:], "\n")
	if date, err := time.Parse(time.DateOnly, isoPattern.FindString(line)); err == nil {
		return date
	}

	return now
}

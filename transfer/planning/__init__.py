"""Schedules of scales, and forecasts of the time and memory they take. Free of torch."""

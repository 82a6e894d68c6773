"""What models Stageline serves and how they are made: conversion, export, publishing."""
